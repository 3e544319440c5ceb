"""An OpenID Connect provider for tests: oidc-provider-mock on Authlib, which here also demands and checks PKCE.

Usage: oidc_provider.py PORT
Clients must register (POST /oauth2/clients); people are set by PUT /users/SUBJECT with their claims.
"""
import os
import sys

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import uvicorn
from authlib.integrations import flask_oauth2
from authlib.oauth2.rfc7636 import CodeChallenge
from oidc_provider_mock import _app

# What was asked with each code: (challenge, method).
asked = {}


class Challenge(CodeChallenge):
    def get_authorization_code_challenge(self, authorization_code):
        return asked.get(authorization_code.code, (None, None))[0]

    def get_authorization_code_challenge_method(self, authorization_code):
        return asked.get(authorization_code.code, (None, None))[1]


class Grant(_app.AuthorizationCodeGrant):
    def save_authorization_code(self, code, request):
        super().save_authorization_code(code, request)
        data = request.payload.data
        asked[code] = (data.get("code_challenge"), data.get("code_challenge_method"))


class Server(flask_oauth2.AuthorizationServer):
    def register_grant(self, grant, extensions=None):
        if grant is Grant:
            extensions = [*(extensions or []), Challenge(required=True)]
        super().register_grant(grant, extensions)


_app.AuthorizationCodeGrant = Grant
_app.flask_oauth2.AuthorizationServer = Server

app = _app.app(require_client_registration=True, require_nonce=True)
uvicorn.run(app, interface="wsgi", host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
