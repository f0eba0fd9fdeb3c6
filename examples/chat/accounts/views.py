"""The account pages that Django does not provide."""

from channels.auth import InvalidLoginToken, login_with_token
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm, UserCreationForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

__all__ = ["exchange", "sign_up"]


def sign_up(request: HttpRequest) -> HttpResponse:
    """Create an account, log the new member in, and redirect to the page they wanted."""
    form: UserCreationForm[User] = UserCreationForm(request.POST or None)
    if form.is_valid():
        login(request, form.save())
        return redirect(wanted_page(request) or "index")
    context = {"form": form, "next": wanted_page(request)}
    return render(request, "accounts/sign_up.html", context)


@require_POST
def exchange(request: HttpRequest) -> HttpResponse:
    """Exchange a token from the WebSocket for a cookie, which a WebSocket cannot set."""
    try:
        login_with_token(request, request.POST.get("token", ""))
    except InvalidLoginToken:
        context = {
            "form": AuthenticationForm(request),
            "next": wanted_page(request),
            "problem": "This login has expired or was already used. Please log in again.",
        }
        return render(request, "accounts/log_in.html", context, status=400)
    return redirect(wanted_page(request) or "index")


def wanted_page(request: HttpRequest) -> str:
    """Return the address that was requested before the login, if it belongs to this site."""
    address = request.POST.get("next", request.GET.get("next", ""))
    hosts = {request.get_host()}
    safe = url_has_allowed_host_and_scheme(address, hosts, require_https=request.is_secure())
    return address if safe else ""
