"""The account pages that Django does not provide."""

from channels.auth import InvalidLoginToken, login_with_token
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from accounts.attempts import TOO_MANY
from accounts.forms import GuestForm, LoginForm, SignUpForm

__all__ = ["LogInView", "exchange", "sign_up", "welcome"]


class LogInView(LoginView):
    """Log a member in, unless there were too many attempts."""

    authentication_form = LoginForm
    template_name = "accounts/log_in.html"

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Show the form again, with its errors."""
        response = super().form_invalid(form)
        response.status_code = status_of(form)
        return response


def sign_up(request: HttpRequest) -> HttpResponse:
    """Create an account, log the new member in, and redirect to the page they wanted."""
    form = SignUpForm(request.POST or None)
    if member := form.create(request.META.get("REMOTE_ADDR", "")):
        login(request, member)
        return redirect(wanted_page(request) or "index")
    context = {"form": form, "next": wanted_page(request)}
    return render(request, "accounts/sign_up.html", context, status=status_of(form))


def welcome(request: HttpRequest) -> HttpResponse:
    """Show a visitor what this site is, and let them in under a name, without a password."""
    form = GuestForm(request.POST or None)
    if member := form.create(request.META.get("REMOTE_ADDR", "")):
        login(request, member)
        return redirect(wanted_page(request) or "index")
    context = {"form": form, "next": wanted_page(request)}
    return render(request, "accounts/welcome.html", context, status=status_of(form))


@require_POST
def exchange(request: HttpRequest) -> HttpResponse:
    """Exchange a token from the WebSocket for a cookie, which a WebSocket cannot set."""
    try:
        login_with_token(request, request.POST.get("token", ""))
    except InvalidLoginToken:
        context = {
            "form": LoginForm(request),
            "next": wanted_page(request),
            "problem": "This login has expired or was already used. Please log in again.",
        }
        return render(request, "accounts/log_in.html", context, status=400)
    return redirect(wanted_page(request) or "index")


def status_of(form: BaseForm) -> int:
    """Return the status of a page that shows a form."""
    return 429 if form.has_error("__all__", TOO_MANY) else 200


def wanted_page(request: HttpRequest) -> str:
    """Return the address that was requested before the login, if it belongs to this site."""
    address = request.POST.get("next", request.GET.get("next", ""))
    hosts = {request.get_host()}
    safe = url_has_allowed_host_and_scheme(address, hosts, require_https=request.is_secure())
    return address if safe else ""
