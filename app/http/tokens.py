"""`/api/tokens`: make, list and revoke bearer tokens."""

# ruff: noqa: N815 - members are named as the contract has them
from __future__ import annotations

from typing import Any

import marshmallow as ma

from app.http.authentication import principal, requires, service
from app.http.blueprints import Blueprint
from app.platform.audit import AuditTrail
from app.platform.inputs import Identifier, Instant, List, Schema, Text
from app.platform.tokens import SCOPES, Principal, TokenStore

tokens_blueprint = Blueprint(
    "tokens", __name__, url_prefix="/api/tokens", description="Bearer tokens and their scopes."
)


class NewTokenSchema(Schema):
    name = Text(required=True, longest=100, validate=ma.validate.Length(min=1))
    scopes = List(ma.fields.String(validate=ma.validate.OneOf(SCOPES)), most=20, least=1, required=True)
    account = Identifier(metadata={"description": "With the scope schedule: the account that it is for."})


class TokenSchema(Schema):
    id = Identifier(required=True)
    name = Text(required=True)
    scopes = ma.fields.List(ma.fields.String(), required=True)
    createdAt = Instant(required=True)
    account = Identifier()


class IssuedTokenSchema(TokenSchema):
    token = ma.fields.String(
        required=True, metadata={"description": "Shown this once; only its hash is kept."}
    )


class TokenListSchema(Schema):
    tokens = ma.fields.List(ma.fields.Nested(TokenSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


@tokens_blueprint.route("", methods=["POST"])
@requires("admin")
@tokens_blueprint.arguments(NewTokenSchema)
@tokens_blueprint.response(201, IssuedTokenSchema)
def create_token(body: dict[str, Any]) -> dict[str, Any]:
    """Make a token. The answer shows it once."""
    issued = service(TokenStore).create(body["name"], body["scopes"], body.get("account"))
    made = issued.principal
    service(AuditTrail).write_down(principal().name, "create token", f"{made.id} ({made.name})")
    return {**_shown(issued.principal), "token": issued.secret}


@tokens_blueprint.route("", methods=["GET"])
@requires("admin")
@tokens_blueprint.response(200, TokenListSchema)
def list_tokens() -> dict[str, Any]:
    """All tokens but the bootstrap token, which is a setting. Secrets are never shown again."""
    return {"tokens": [_shown(token) for token in service(TokenStore).list()], "next": None}


@tokens_blueprint.route("/<token_id>", methods=["DELETE"])
@requires("admin")
@tokens_blueprint.response(200, TokenSchema)
def revoke_token(token_id: str) -> dict[str, Any]:
    """End a token: refused at once by this process, within two seconds by every other."""
    ended = service(TokenStore).revoke(token_id)
    service(AuditTrail).write_down(principal().name, "revoke token", f"{ended.id} ({ended.name})")
    return _shown(ended)


def _shown(token: Principal) -> dict[str, Any]:
    found = {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "createdAt": token.created_at,
    }
    return found if token.account is None else {**found, "account": token.account}
