import channels.staticfiles
from channels.staticfiles import StaticFilesHandler, StaticFilesWrapper
from django.test import override_settings

import channels_http.handlers
import channels_http.staticfiles


def test_it_is_the_module_of_channels_http() -> None:
    assert channels.staticfiles is channels_http.staticfiles
    assert issubclass(StaticFilesHandler, channels_http.handlers.AsgiHandler)


def test_a_wrapper_is_made() -> None:
    with override_settings(STATIC_URL="/files/"):
        assert StaticFilesWrapper(StaticFilesHandler).get_base_url() == "/files/"
