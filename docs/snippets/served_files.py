"""An application that serves its static files itself, as a test may need it."""

from channels.staticfiles import StaticFilesWrapper

from docs.snippets.site_routes import application as site

application = StaticFilesWrapper(site)
