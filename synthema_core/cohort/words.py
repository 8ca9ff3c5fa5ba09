"""A condition in words, for a steward: the columns by their titles, the codes by their labels, nothing left out."""

from __future__ import annotations

from collections.abc import Mapping

from synthema_core.cohort.reading import spelled
from synthema_core.cohort.spelling import spell
from synthema_core.cohort.tree import Call, Comparison, Joined, Membership, Name, Node, Not, Number, Text, Truth
from synthema_core.errors import NotFound
from synthema_core.schemas import Field, Kind, Schema

_SAYS: Mapping[str, str] = {
    "==": "is",
    "!=": "is not",
    "<": "is below",
    "<=": "is at most",
    ">": "is above",
    ">=": "is at least",
}


def in_words(condition: Node, schema: Schema) -> str:
    """Part of a sentence, such as: age is at least 60 years, and FLT3-ITD is 'positive'."""
    return _Speaker(schema).say(condition)


class _Speaker:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def say(self, node: Node, *, inside: bool = False) -> str:
        match node:
            case Joined(word, parts):
                said = f", {word} ".join(self.say(part, inside=True) for part in parts)
                return f"({said})" if inside else said
            case Not(Name(_) as column):
                return f"{self._name(column)} is no"
            case Not(operand):
                return f"it is not so that {self._bracketed(operand)}"
            case Comparison(sign, left, right):
                return f"{self._name(left)} {_SAYS[sign]} {self._value(right, left)}"
            case Membership(operand, values, negated):
                listed = ", ".join(self._value(value, operand) for value in values)
                return f"{self._name(operand)} is {'none' if negated else 'one'} of {listed}"
            case Call("missing" | "present", (Name(),)):
                return (
                    f"{self._name(node.arguments[0])} {'has no value' if node.function == 'missing' else 'has a value'}"
                )
            case Name():
                return f"{self._name(node)} is yes"
        return spell(node)

    def _bracketed(self, node: Node) -> str:
        said = self.say(node, inside=True)
        return said if isinstance(node, Joined) else f"({said})"

    def _name(self, node: Node) -> str:
        field = self._field(node)
        if field is None:
            return spell(node)
        return field.name if not field.title or field.title == field.name else f"{field.title} ({field.name})"

    def _value(self, node: Node, beside: Node) -> str:
        """With the unit, or the label, of what it is compared with."""
        field = self._field(beside)
        match node:
            case Text(code):
                return self._code(code, field)
            case Number(value) if field is not None and field.kind is Kind.CATEGORY:
                return self._code(spelled(value), field)
            case Number(value) if field is not None and field.kind is Kind.BOOLEAN:
                return "yes" if value else "no"
            case Number(value):
                return f"{spelled(value)} {field.unit if field else ''}".rstrip()
            case Truth(told):
                return "yes" if told else "no"
            case Name():
                return self._name(node)
        return spell(node)

    @staticmethod
    def _code(code: str, field: Field | None) -> str:
        label = dict(field.codes).get(code, "") if field else ""
        return f"'{code}' ({label})" if label and label != code else f"'{code}'"

    def _field(self, node: Node) -> Field | None:
        if not isinstance(node, Name):
            return None
        try:
            return self._schema.field(node.name)
        except NotFound:
            return None
