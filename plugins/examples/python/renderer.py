"""A renderer in Python: plain text, in English."""

import json
import re

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import (
    ConfigError,
    Email,
    Manifest,
    Money,
    Notification,
    Order,
    OrderStatus_Other,
    Subject_Order,
)

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"greeting": {"description": "The first word of a mail.", "type": "string", "minLength": 1}},
}
config: dict[str, str] = {"greeting": "Hello"}


def amount(money: Money) -> str:
    """19.99 USD: minor units, with as many decimals as the currency has."""
    sign = "-" if money.amount < 0 else ""
    digits = str(abs(money.amount)).rjust(money.exponent + 1, "0")
    whole, part = (digits[: -money.exponent], "." + digits[-money.exponent :]) if money.exponent else (digits, "")
    return f"{sign}{whole}{part} {money.currency}"


def told(order: Order) -> tuple[str, str]:
    """The subject and the middle of the mail."""
    status = order.status
    # OrderStatus_PartlyShipped is "partly shipped".
    case = type(status).__name__.split("_")[1]
    word = status.value if isinstance(status, OrderStatus_Other) else re.sub("(?<!^)([A-Z])", r" \1", case).lower()
    lines = "\n".join(f"{line.quantity} x {line.name}: {amount(line.total)}" for line in order.lines)
    return f"Order {order.number}: {word}", f"{lines}\n\nTotal: {amount(order.total)}"


class Plugin(exports.Plugin):
    def describe(self) -> Manifest:
        return Manifest("my-plugin", "0.1.0", "Plain text, in English.", ["en"], json.dumps(SCHEMA), [])

    def configure(self, text: str) -> None:
        given = json.loads(text)
        unknown = [key for key in given if key not in config]
        if unknown:
            raise Err(ConfigError(f"/{unknown[0]}", "no such key"))
        config.update(given)


class Renderer(exports.Renderer):
    def render(self, n: Notification, r: object) -> Email:
        if isinstance(n.subject, Subject_Order):
            subject, middle = told(n.subject.value)
        else:
            subject, middle = f"News from {n.shop.name}", n.kind
        return Email(
            subject=subject,
            text=f"{config['greeting']} {n.customer.name},\n\n{middle}\n\n{n.shop.name}\n",
            html=None,
            from_name=None,
            reply_to=None,
            headers=[],
            attachments=[],
            attributes=[],
        )
