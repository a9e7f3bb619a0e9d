"""A web app that logs people in at Scopefold, with Authlib: docs/recipes/python.md tells how to run it."""

import os
import secrets

from authlib.integrations.starlette_client import OAuth, OAuthError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

oauth = OAuth()
oauth.register(
    "scopefold",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    server_metadata_url=f"{os.environ['ISSUER']}/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)


async def home(request: Request) -> Response:
    """Who is logged in?"""
    user = request.session.get("user")
    return JSONResponse(user) if user else RedirectResponse(request.url_for("login"))


async def login(request: Request) -> Response:
    """Off to Scopefold. The address of `callback` must be the registered one, byte for byte."""
    answer: Response = await oauth.scopefold.authorize_redirect(request, request.url_for("callback"))
    return answer


async def callback(request: Request) -> Response:
    """Back from Scopefold: Authlib redeems the code and checks the ID token."""
    try:
        token = await oauth.scopefold.authorize_access_token(request)
    except OAuthError as error:
        return JSONResponse({"error": error.error, "description": error.description}, 403)
    request.session["user"] = dict(token["userinfo"])
    return RedirectResponse(request.url_for("home"))


app = Starlette(
    routes=[Route("/", home), Route("/login", login), Route("/callback", callback)],
    middleware=[Middleware(SessionMiddleware, secret_key=secrets.token_urlsafe(32))],
)
