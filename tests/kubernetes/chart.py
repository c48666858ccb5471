"""The Helm chart of tuning/helm, made into objects without Helm.

A small part of Go's templates and of Helm's functions: what the chart uses, and an error for everything
else, so that the chart stays within what is tested here.
"""

import json
import re
import textwrap
from pathlib import Path

import yaml

ACTION = re.compile(r"\{\{(-?)\s*(.*?)\s*(-?)\}\}", re.DOTALL)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()|]|[^\s()|"]+')


def pieces(text):
    """Text and actions in turn; `-` takes the blanks on its side away."""
    parts, at, trim = [], 0, False
    for match in ACTION.finditer(text):
        before = text[at : match.start()]
        before = before.lstrip() if trim else before
        parts.append(("text", before.rstrip() if match[1] else before))
        parts.append(("action", match[2]))
        at, trim = match.end(), bool(match[3])
    rest = text[at:]
    return parts + [("text", rest.lstrip() if trim else rest)]


def tree(parts):
    """Nests what stands between if, with or range, and end."""
    body, words = [], None
    for kind, value in parts:
        words = value.split(None, 1)
        if kind == "text":
            body.append(("text", value))
        elif words[0] in ("if", "with"):
            body.append((words[0], words[1], tree(parts)))
        elif words[0] == "end":
            return body
        else:
            body.append(("value", value))
    return body


class Scope:
    """What a dot means, and what functions there are."""

    def __init__(self, dot, root, chart):
        self.dot, self.root, self.chart = dot, root, chart

    def value(self, text):
        """The value of a pipeline."""
        tokens = TOKEN.findall(text)
        value = self.pipeline(tokens)
        if tokens:
            raise ValueError(f"left over in {text}: {tokens}")
        return value

    def pipeline(self, tokens):
        value = self.command(tokens, [])
        while tokens and tokens[0] == "|":
            tokens.pop(0)
            value = self.command(tokens, [value])
        return value

    def command(self, tokens, piped):
        words = []
        while tokens and tokens[0] not in "|)":
            token = tokens.pop(0)
            if token == "(":
                words.append(self.pipeline(tokens))
                tokens.pop(0)
            elif words or token[0] in '."' or token.isdigit():
                words.append(self.word(token))
            else:
                words.append(getattr(self, "do_" + token))
        if callable(words[0]):
            return words[0](*words[1:], *piped)
        if len(words) > 1 or piped:
            raise ValueError(f"{words} is no function")
        return words[0]

    def word(self, token):
        if token[0] == '"':
            return json.loads(token)
        if token.isdigit():
            return int(token)
        if token == ".Files.Get":
            return lambda name: (self.chart / name).read_text()
        value = self.dot if token == "." else self.root
        for name in filter(None, token.split(".")):
            value = value[name]
        return value

    do_int = staticmethod(int)
    do_toJson = staticmethod(json.dumps)

    @staticmethod
    def do_quote(text):
        return json.dumps(str(text))

    @staticmethod
    def do_add(one, other):
        return one + other

    @staticmethod
    def do_printf(form, *values):
        return form % values

    @staticmethod
    def do_toYaml(value):
        return yaml.safe_dump(value).rstrip("\n")

    @staticmethod
    def do_nindent(columns, text):
        # Empty lines are indented, too.
        return "\n" + textwrap.indent(text, " " * columns, lambda _: True)

    def render(self, body):
        out = []
        for kind, value, *inner in body:
            if kind == "text":
                out.append(value)
            elif kind == "value":
                out.append(str(self.value(value)))
            elif condition := self.value(value):
                dot = condition if kind == "with" else self.dot
                out.append(Scope(dot, self.root, self.chart).render(inner[0]))
        return "".join(out)


def values(chart):
    return yaml.safe_load((chart / "values.yaml").read_text())


def leaves(tree, path=".Values"):
    """The paths of the values that are no tables; an empty table and what is given on as a whole count."""
    if not isinstance(tree, dict) or not tree:
        return [path]
    return [leaf for name, inner in tree.items() for leaf in leaves(inner, f"{path}.{name}")]


def templates(chart):
    return [path.read_text() for path in sorted((chart / "templates").glob("*.yaml"))]


def unused(chart):
    """Values that no template asks for."""
    text = "\n".join(templates(chart))
    asked = set(re.findall(r"\.Values[\w.]*", text))
    is_asked = lambda leaf: any(leaf == path or leaf.startswith(path + ".") for path in asked)
    return [leaf for leaf in leaves(values(chart)) if not is_asked(leaf)]


def objects(chart, given, namespace="uturn", name="uturn"):
    """The objects of a release with these values, by kind and name."""
    root = {"Values": given, "Release": {"Name": name, "Namespace": namespace}}
    found = {}
    for text in templates(chart):
        rendered = Scope(root, root, Path(chart)).render(tree(iter(pieces(text))))
        for document in yaml.safe_load_all(rendered):
            found[document["kind"], document["metadata"]["name"]] = document
    return found
