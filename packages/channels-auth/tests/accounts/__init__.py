"""Users other than Django's own, as programs have them."""
