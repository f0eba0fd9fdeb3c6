"""The two colours of the consumers are one program."""

import ast
import inspect
from typing import Any

import pytest

from channels_core.generic import groups, websocket

# The synchronous name of what the asynchronous twin calls otherwise.
RENAMES = {
    "WebsocketConsumer": "AsyncWebsocketConsumer",
    "JsonWebsocketConsumer": "AsyncJsonWebsocketConsumer",
    "SyncConsumer": "AsyncConsumer",
    "SyncGroupMember": "AsyncGroupMember",
    "_SYNC_DECODE": "_DECODE",
    "_SYNC_ENCODE": "_ENCODE",
    "_SYNC_SEND": "_SEND",
    "_SYNC_SEND_FRAME": "_SEND_FRAME",
}
IN_LOOP = "self._channels_connection.in_loop"
# The companion's methods of that kind.
ATTRIBUTES = {"decode_large_now": "decode_large", "transmit_now": "transmit"}
# What neither colour needs twice.
COLOURLESS = {"_companion"}
TWINS = [
    ("SyncGroupMember", "AsyncGroupMember"),
    ("WebsocketConsumer", "AsyncWebsocketConsumer"),
    ("JsonWebsocketConsumer", "AsyncJsonWebsocketConsumer"),
]


class Bleach(ast.NodeTransformer):
    """Take the colour out: no await, no async, no docstrings, and one name for both."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def visit_Await(self, node: ast.Await) -> Any:
        return self.visit(node.value)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        fields: dict[str, Any] = {name: getattr(node, name) for name in node._fields}
        return self.visit_FunctionDef(ast.FunctionDef(**fields))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = self.without_docstring(node.body)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self.rename(node.name)
        node.body = self.without_docstring(node.body)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        # self._channels_connection.in_loop(f, x) is what await f(x) is in the other colour.
        if ast.unparse(node.func) == IN_LOOP:
            self.used.add(IN_LOOP)
            node.func, *node.args = node.args
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.rename(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr in ATTRIBUTES:
            self.used.add(node.attr)
            node.attr = ATTRIBUTES[node.attr]
        return self.generic_visit(node)

    def rename(self, name: str) -> str:
        if name in RENAMES:
            self.used.add(name)
        return RENAMES.get(name, name)

    @staticmethod
    def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
        first = body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            body = body[1:]
        return body or [ast.Pass()]


def classes() -> dict[str, ast.ClassDef]:
    return {
        node.name: node
        for module in (groups, websocket)
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    }


def bleached(node: ast.ClassDef) -> tuple[str, set[str]]:
    bleach = Bleach()
    return ast.unparse(ast.fix_missing_locations(bleach.visit(node))), bleach.used


@pytest.mark.parametrize(("sync", "async_"), TWINS)
def test_twins_are_equal_but_for_their_colour(sync: str, async_: str) -> None:
    found = classes()
    assert bleached(found[sync])[0] == bleached(found[async_])[0]


def test_every_class_is_a_twin_and_every_rename_is_needed() -> None:
    found = classes()
    assert set(found) - COLOURLESS == {name for pair in TWINS for name in pair}
    used = set().union(*(bleached(found[sync])[1] for sync, _ in TWINS))
    assert used == {*RENAMES, *ATTRIBUTES, IN_LOOP}
