"""Every place that raises an error with a code, and the parts of its message, read from the source."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from docs.generate.source import Function, Module, error_classes, last_name, modules

PARTS = ("found", "expected", "remedy")
_CODE = re.compile(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)*(_\{…\})?")
_LONGEST_PLACEHOLDER = 32

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Raised:
    """One place that raises.

    Attributes:
        code: stable reason code; ``{…}`` replaces a part that is known only at run time.
        error: name of the error class.
        message: ``found``, ``expected``, ``remedy`` -> text, with placeholders in braces.
        module: dotted name of the module that raises the error.
        line: line of the call.
    """

    code: str
    error: str
    message: Texts
    module: str
    line: int


@dataclass(frozen=True)
class _Maker:
    """A function that makes an error with the code in its argument ``parameter``."""

    module: Module
    function: Function
    call: ast.Call
    parameter: str


@cache
def raised() -> tuple[Raised, ...]:
    """Every place that raises, ordered by code."""
    found = [place for module in modules().values() for call in module.calls() for place in _places(module, call)]
    once = {(r.code, r.module, r.line): r for r in found}
    return tuple(once[key] for key in sorted(once))


def _places(module: Module, call: ast.Call) -> Iterator[Raised]:
    code = _code_argument(module, call)
    if code is None or _is_parameter(module, call, code):
        return
    error, message = _error_of(module, call), _message(module, call, {})
    for name, found in _codes(module, call, code):
        yield Raised(name, error, {**message, **found}, module.name, call.lineno)


def _codes(module: Module, call: ast.Call, node: ast.expr) -> Iterator[tuple[str, Texts]]:
    """The codes that an expression can have; for codes in a list of findings, also their texts."""
    if isinstance(node, ast.Attribute):  # an error that is raised again under another class
        return
    if isinstance(node, ast.Name) and (value := _value_of(module, call, node.id)) is not None:
        node = value
    if isinstance(node, ast.JoinedStr):
        yield _shortened(_text(module, call, node, {})), {}
        return
    literals = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and _is_code(n.value)]
    if literals:
        yield from ((str(value), {}) for value in literals)
    else:
        yield from _findings(module)


def _findings(module: Module) -> Iterator[tuple[str, Texts]]:
    """Tuples (code, found) or (code, found, expected) of a module that raises what it has gathered."""
    for node in (n for n in ast.walk(module.tree) if isinstance(n, ast.Tuple) and len(n.elts) in (2, 3)):
        if all(_is_string(element) for element in node.elts):
            code, *texts = (_text(module, node, element, {}) for element in node.elts)
            if _is_code(_shortened(code)):
                yield _shortened(code), dict(zip(PARTS, texts, strict=False))


def _message(module: Module, call: ast.Call, texts: Texts) -> dict[str, str]:
    """The parts of the message of a call that makes an error; ``texts`` has the texts of names."""
    if (maker := _maker_of(module, call)) is None:
        given = dict(zip(PARTS, call.args[1:], strict=False)) | {
            w.arg: w.value for w in call.keywords if w.arg in PARTS
        }
        return {str(part): _text(module, call, value, texts) for part, value in given.items()}
    arguments = _bound(maker.function, call)
    inner = {name: _text(module, call, value, texts) for name, value in arguments.items()}
    return _message(maker.module, maker.call, inner)


def _text(module: Module, place: ast.expr, node: ast.expr, texts: Texts) -> str:
    """The text of an expression, with placeholders in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(module, place, part, texts) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(module, place, node.value, texts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and any(map(_is_string, ast.walk(node))):
        return _text(module, place, node.left, texts) + _text(module, place, node.right, texts)
    if isinstance(node, ast.IfExp):
        either, other = (_text(module, place, part, texts) for part in (node.body, node.orelse))
        return f"{either} / {other}" if either and other else f"[{either or other}]"
    if isinstance(node, ast.Name):
        if node.id in texts:
            return texts[node.id]
        value = _value_of(module, place, node.id)
        if isinstance(value, ast.Constant | ast.JoinedStr | ast.BinOp | ast.IfExp):
            return _text(module, value, value, texts)
    source = ast.unparse(node)
    return f"{{{source if len(source) <= _LONGEST_PLACEHOLDER else '…'}}}"


def _value_of(module: Module, place: ast.expr, name: str) -> ast.expr | None:
    """The value of a name at ``place``: from the last assignment before it in its function, or a module's constant."""
    function = module.functions.get(place)
    given = [pair for node in ast.walk(function) for pair in _given(node, name)] if function else []
    before = [(line, value) for line, value in given if line < place.lineno]
    if before:
        return max(before, key=lambda pair: pair[0])[1]
    if name in module.constants:
        return module.constants[name]
    origin = modules().get(module.origins.get(name, ""))
    return origin.constants.get(name) if origin else None


def _given(node: ast.AST, name: str) -> Iterator[tuple[int, ast.expr]]:
    """The line and the value of a statement that assigns a value to the name."""
    if isinstance(node, ast.Assign) and name in {last_name(target) for target in node.targets}:
        yield node.lineno, node.value
    if isinstance(node, ast.For) and name in {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}:
        yield node.lineno, node.iter


@cache
def _makers() -> Mapping[tuple[str, str], _Maker]:
    """(module, function) -> the function's maker. A method is found by its name alone, with "" as the module."""
    found: dict[tuple[str, str], _Maker] = {}
    while new := dict(_new_makers(found)):
        found |= new
    return found


def _new_makers(known: Mapping[tuple[str, str], _Maker]) -> Iterator[tuple[tuple[str, str], _Maker]]:
    for module in modules().values():
        for call in module.calls():
            code = _code_argument(module, call, known)
            function = module.functions.get(call)
            if code is None or function is None or not _is_parameter(module, call, code):
                continue
            is_method = function.args.args and function.args.args[0].arg in ("self", "cls")
            key = ("" if is_method else module.name, function.name)
            if key not in known:
                yield key, _Maker(module, function, call, last_name(code))


def _maker_of(module: Module, call: ast.Call, makers: Mapping[tuple[str, str], _Maker] | None = None) -> _Maker | None:
    known, name = _makers() if makers is None else makers, last_name(call.func)
    if isinstance(call.func, ast.Attribute):
        return known.get(("", name))
    return known.get((module.origins.get(name, module.name), name))


def _code_argument(
    module: Module, call: ast.Call, makers: Mapping[tuple[str, str], _Maker] | None = None
) -> ast.expr | None:
    """The expression for the code, if the call makes an error; None if not."""
    if last_name(call.func) in error_classes() or _is_own_class(module, call):
        return call.args[0] if call.args else None
    maker = _maker_of(module, call, makers)
    return _bound(maker.function, call).get(maker.parameter) if maker else None


def _is_own_class(module: Module, call: ast.Call) -> bool:
    """Whether a call is ``cls(...)`` in a class method of an error."""
    if last_name(call.func) != "cls":
        return False
    owners = (n for n in ast.walk(module.tree) if isinstance(n, ast.ClassDef) and n.name in error_classes())
    return any(module.functions.get(call) in owner.body for owner in owners)


def _error_of(module: Module, call: ast.Call) -> str:
    """Name of the class of the error that a call makes."""
    if last_name(call.func) in error_classes():
        return last_name(call.func)
    if isinstance(call.func, ast.Attribute) and last_name(call.func.value) in error_classes():
        return last_name(call.func.value)
    maker = _maker_of(module, call)
    return _error_of(maker.module, maker.call) if maker else "PlumblineError"


def _is_parameter(module: Module, call: ast.Call, node: ast.expr) -> bool:
    function = module.functions.get(call)
    names = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)} if function else set()
    return isinstance(node, ast.Name) and node.id in names


def _bound(function: Function, call: ast.Call) -> dict[str, ast.expr]:
    """Parameter -> argument, for a call of the function."""
    names = [a.arg for a in function.args.args if a.arg not in ("self", "cls")]
    return dict(zip(names, call.args, strict=False)) | {w.arg: w.value for w in call.keywords if w.arg}


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _shortened(code: str) -> str:
    """A code with every placeholder as ``{…}``."""
    return re.sub(r"\{.*?\}", "{…}", code)


def _is_code(value: object) -> bool:
    return isinstance(value, str) and len(value) > 3 and _CODE.fullmatch(value) is not None
