"""A CloudFormation template with its functions carried out: what would be made, before anything is.

Knows what ``stack.yaml`` uses: Ref, Sub, GetAtt, If, Join, Equals and Not; anything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from burst_magic.dataclass import dataclass

_VARIABLE = re.compile(r"\$\{([^!}]+)\}")
_OF_VALUES: dict[str, Callable[..., object]] = {
    "Fn::Join": lambda between, parts: str(between).join(map(str, parts)),
    "Fn::Equals": lambda one, other: one == other,
    "Fn::Not": lambda value: not value,
}
_NOTHING = object()  # what AWS::NoValue becomes: the property or the list's entry isn't there


def text() -> str:
    """The template of ``burst setup``, as it is deployed."""
    return (files("burst_magic.aws") / "stack.yaml").read_text(encoding="utf-8")


def parse(body: str) -> dict[str, Any]:
    """A template with its short tags spelt out (``!Sub x`` becomes ``{"Fn::Sub": x}``).

    Args:
        body: YAML, or JSON.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe, and knows tags."""

    def tagged(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
        if isinstance(node, yaml.ScalarNode):
            value: Any = loader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(node, deep=True)
        if suffix == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}

    Loader.add_multi_constructor("!", tagged)
    found: dict[str, Any] = yaml.load(body, Loader)  # noqa: S506 - a subclass of SafeLoader
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where a stack is made: what the pseudo parameters say."""

    account: str
    region: str
    partition: str = "aws"

    @property
    def domain(self) -> str:
        """Below which services and registries have their names."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    @property
    def pseudo(self) -> dict[str, object]:
        """By their names."""
        return {
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::Partition": self.partition,
            "AWS::NoValue": _NOTHING,
        }


class StackTemplate:
    """A template with its parameters.

    Args:
        parsed: by ``parse``.
        parameters: values by name; others have their defaults.
        where: account and region.
        made: the physical id of a resource (``""``), or an attribute of it, by its logical name.
    """

    def __init__(
        self,
        parsed: Mapping[str, Any],
        parameters: Mapping[str, str],
        *,
        where: Whereabouts,
        made: Callable[[str, str], object],
    ) -> None:
        self._parsed = parsed
        self._made = made
        self._values: dict[str, object] = dict(where.pseudo)
        for name, described in parsed.get("Parameters", {}).items():
            given = parameters.get(name, described.get("Default"))
            if given is None:
                raise KeyError(f"Parameters: [{name}] must have values")
            self._values[name] = _typed(str(given), str(described["Type"]))

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Those whose condition holds, as written: their functions are not carried out."""
        return {
            name: resource
            for name, resource in self._parsed["Resources"].items()
            if "Condition" not in resource or self._holds(resource["Condition"])
        }

    def properties(self, name: str) -> dict[str, Any]:
        """The properties of a resource, carried out."""
        found: dict[str, Any] = self.resolved(self._parsed["Resources"][name].get("Properties", {}))
        return found

    @property
    def outputs(self) -> dict[str, str]:
        """Those whose condition holds."""
        return {
            name: str(self.resolved(output["Value"]))
            for name, output in self._parsed.get("Outputs", {}).items()
            if "Condition" not in output or self._holds(output["Condition"])
        }

    def _holds(self, condition: str) -> bool:
        return bool(self.resolved(self._parsed["Conditions"][condition]))

    def resolved(self, node: Any) -> Any:
        """Any part of the template, carried out."""
        if isinstance(node, list):
            return [value for each in node if (value := self.resolved(each)) is not _NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name, argument)
        return {key: value for key, each in node.items() if (value := self.resolved(each)) is not _NOTHING}

    def _function(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return self._referred(argument)
        if name == "Fn::GetAtt":
            return self._made(*argument)
        if name == "Fn::Sub" and isinstance(argument, str):
            return _VARIABLE.sub(lambda found: str(self._named(found[1])), argument)
        if name == "Fn::If":
            condition, yes, no = argument
            return self.resolved(yes if self._holds(condition) else no)
        if name not in _OF_VALUES:
            raise ValueError(f"Template format error: unknown function {name}")
        return _OF_VALUES[name](*(self.resolved(each) for each in argument))

    def _referred(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._made(name, "")

    def _named(self, name: str) -> Any:
        logical, dot, attribute = name.partition(".")
        return self._made(logical, attribute) if dot else self._referred(name)


def references(node: Any) -> set[str]:
    """What a part of a template refers to, by logical names; parameters among them."""
    if isinstance(node, list):
        return {name for each in node for name in references(each)}
    if not isinstance(node, dict):
        return set()
    found: set[str] = set()
    for key, value in node.items():
        if key == "Ref":
            found.add(value)
        elif key == "Fn::GetAtt":
            found.add(value[0])
        elif key == "Fn::Sub":
            found |= {name.partition(".")[0] for name in _VARIABLE.findall(value)}
        else:
            found |= references(value)
    return found


def _typed(given: str, kind: str) -> object:
    return given.split(",") if kind.startswith(("List<", "CommaDelimited")) else given
