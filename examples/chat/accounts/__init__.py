"""Members of the site: how they sign up, log in and log out."""
