"""Pages beside this site: of another port, another scheme, or another host that is allowed, too."""

from collections.abc import Callable, Iterator

import pytest

from handshakes import SERVERS, handshake, serve
from served import Served


@pytest.fixture(params=SERVERS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(request.param) as served:
        yield served


def test_only_pages_of_the_very_site_come_in(
    server: Served, record_property: Callable[[str, object], None]
) -> None:
    tls = "X-Forwarded-Proto: https"
    host = server.host
    refused = [
        ["Origin: http://127.0.0.1"],
        ["Origin: http://127.0.0.1:1"],
        ["Origin: http://127.0.0.1:"],
        [f"Origin: https://{host}"],
        [f"Origin: ws://{host}"],
        ["Origin: http://other.example"],
        [f"Origin: http://other.example:{server.port}"],
        ["Origin: null"],
        ["Origin: file://"],
        # The page and the handshake agree, but Django would refuse the host.
        ["Host: evil.example", "Origin: http://evil.example"],
        ["Host: localhost:", "Origin: http://localhost:"],
        ["X-Forwarded-Host: other.example", "Origin: http://other.example"],
        # What the proxy says of TLS counts, and only in the way in which the settings tell it.
        [tls, f"Origin: http://{host}"],
        ["X-Forwarded-Proto: HTTPS", f"Origin: https://{host}"],
        ["X-Forwarded-Protocol: https", f"Origin: https://{host}"],
        ["X_Forwarded_Proto: https", f"Origin: https://{host}"],
        ["Forwarded: proto=https", f"Origin: https://{host}"],
        ["X-Forwarded-Ssl: on", f"Origin: https://{host}"],
    ]
    for lines in refused:
        assert handshake(server, "own", *lines)[0] in (400, 403), lines
    accepted = [
        [],
        [f"Origin: HTTP://{host}"],
        ["Host: other.example", "Origin: http://other.example"],
        ["Host: other.example:80", "Origin: http://other.example"],
        ["Host: other.example.", "Origin: http://other.example."],
        [tls, f"Origin: https://{host}"],
        [tls, "Host: other.example", "Origin: https://other.example:443"],
    ]
    for lines in accepted:
        assert handshake(server, "own", *lines)[0] == 101, lines
    record_property("inputs", len(refused) + len(accepted))
