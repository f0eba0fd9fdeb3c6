"""The same application, in the middleware of OpenTelemetry."""

import os
from pathlib import Path

from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from .asgi import application as site

provider = TracerProvider()
spans = Path(os.environ["BEACON_SPANS"]).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
exporter = ConsoleSpanExporter(out=spans, formatter=lambda span: f"{span.to_json(indent=None)}\n")
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

application = OpenTelemetryMiddleware(site)
