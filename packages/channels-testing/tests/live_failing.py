"""An application that cannot be imported."""

raise RuntimeError("the site is not ready")
