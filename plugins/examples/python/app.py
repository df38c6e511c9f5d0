"""A renderer in Python: plain text, in English."""

import json

from wit_world import exports
from componentize_py_types import Err
from wit_world.imports.types import Email, Money, Notification, OrderStatus_Other

config: dict[str, str] = {"greeting": "Hello"}


def amount(money: Money) -> str:
    """19.99 USD: minor units, with as many decimals as the currency has."""
    sign = "-" if money.amount < 0 else ""
    digits = str(abs(money.amount)).rjust(money.exponent + 1, "0")
    whole, part = (digits[: -money.exponent], "." + digits[-money.exponent :]) if money.exponent else (digits, "")
    return f"{sign}{whole}{part} {money.currency}"


class Renderer(exports.Renderer):
    def configure(self, text: str) -> None:
        given = json.loads(text)
        unknown = [key for key in given if key not in config]
        if unknown:
            raise Err(f"{unknown[0]}: no such key")
        config.update(given)

    def render(self, n: Notification) -> Email:
        order = n.order
        status = order.status
        word = status.value if isinstance(status, OrderStatus_Other) else type(status).__name__.split("_")[1].lower()
        lines = "\n".join(f"{line.quantity} x {line.name}: {amount(line.total)}" for line in order.lines)
        return Email(
            subject=f"Order {order.number}: {word}",
            text=f"{config['greeting']} {n.customer.name},\n\n{lines}\n\nTotal: {amount(order.total)}\n\n{n.shop.name}\n",
            html=None,
            from_name=None,
            reply_to=None,
            headers=[],
            attachments=[],
        )
