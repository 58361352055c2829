"""Fill the pages of docs/reference/ with what Python knows about each name. MkDocs runs it as a hook.

Ops are closures that a declaration gives name, signature and docstring. What reads source alone does not see them; this
file asks the objects themselves. In a page, a line that begins with `:::` says what comes in its place:

    ge.jit                              a function or a class
    ge.optim.SGD: step zero_grad        a class and these of its methods and attributes
    members of ge.Tensor: shape dtype   the methods and attributes alone
    ge.pi = 3.14159...                  a value, which has no docstring
    ge from gradengine.ops.special      what `ge` has of that file and no page names by itself, in the file's order
    functions of ge.Tensor              its methods that are functions of `ge`
    command train                       what `gradengine train --help` prints
    contents                            the names on all pages
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import gradengine as ge
from gradengine import cli, compiler

FOLDER = Path(__file__).parent / "reference"
REPOSITORY = Path(__file__).parents[1]
BESIDE = {"README.md": "guide.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINE = re.compile(r"^::: (.+)$", re.MULTILINE)
NAMED = re.compile(r"(?P<alone>members of )?(?P<path>ge\.[\w.]+)(: (?P<members>[\w ]+)| = (?P<text>.+))?")
OF_FILE = re.compile(r"(?P<module>ge[\w.]*) from (?P<file>[\w.]+)")


# -- what there is ----------------------------------------------------------------------------------------------------


def found(path: str) -> Any:
    """What a path such as `ge.nn.Linear` stands for. Raises AttributeError where there is nothing."""
    start, names = ("ge", ge), path.split(".")[1:]
    if names[:1] == ["compiler"]:  # `ge.jit` loads it, but it is not an attribute that one may rely on
        start, names = ("compiler", compiler), names[1:]
    return functools.reduce(getattr, names, start[1])


def public(module: Any) -> list[str]:
    """The names of a module that are meant for others. Modules are not among them: they have pages of their own."""
    names = [name for name in getattr(module, "__all__", dir(module)) if not name.startswith("_")]
    return [name for name in names if not inspect.ismodule(getattr(module, name))]


def loads(name: str) -> bool:
    """Whether a name can be asked for everywhere: bfloat16 needs another package."""
    return name != "bfloat16"


@functools.cache
def lines() -> dict[str, list[str]]:
    """What each page of the reference asks for."""
    return {page.name: LINE.findall(page.read_text(encoding="utf-8")) for page in sorted(FOLDER.glob("*.md"))}


@functools.cache
def entries() -> dict[str, str]:
    """The page of each path that has an entry. Raises ValueError for one that has two."""
    where: dict[str, str] = {}
    for page, asked in lines().items():
        for path in [path for line in asked for path in paths_of(line)]:
            if path in where:
                raise ValueError(f"docs/reference: {path} is on {where[path]} and on {page}")
            where[path] = page
    return where


def paths_of(line: str) -> list[str]:
    """The paths that a line gives an entry."""
    if named := NAMED.fullmatch(line):
        members = [f"{named['path']}.{name}" for name in (named["members"] or "").split()]
        return members if named["alone"] else [named["path"], *members]
    return of_file(**match.groupdict()) if (match := OF_FILE.fullmatch(line)) else []


def of_file(module: str, file: str) -> list[str]:
    """The paths of what a module has of a file, in the order in which the file defines it."""
    has, source = found(module), importlib.import_module(file)
    own = [name for name, value in vars(source).items() if getattr(value, "__module__", None) == file]
    names = [name for name in own if name in public(has) and getattr(has, name) is getattr(source, name)]
    return [path for name in names if (path := f"{module}.{name}") not in named_by_themselves()]


@functools.cache
def named_by_themselves() -> set[str]:
    """The paths that a page names in a line."""
    return {named["path"] for asked in lines().values() for line in asked if (named := NAMED.fullmatch(line))}


@functools.cache
def described() -> dict[int, str]:
    """The path, of all that a function or class has, which is described: the shortest, under its own name."""
    several: dict[int, list[str]] = {}
    for path in entries():
        if loads(path.removeprefix("ge.")) and callable(value := found(path)):
            several.setdefault(id(value), []).append(path)
    rank = lambda path: (path.count("."), path.rpartition(".")[2] != found(path).__name__)
    return {key: min(paths, key=rank) for key, paths in several.items()}


def functions_of(owner: type) -> dict[str, str]:
    """The methods of a class that are a function of `ge`, or one in place, with that function's name."""
    out = {}
    for name in dir(owner):
        value = inspect.getattr_static(owner, name)
        function = getattr(value, "__name__", "").rstrip("_")
        if not name.startswith("_") and f"ge.{function}" in entries() and loads(function):
            in_place = (value.__doc__ or "").startswith(f"`{function}` in place")
            if in_place or value is found(f"ge.{function}"):
                out[name] = function
    return out


# -- what stands in a page --------------------------------------------------------------------------------------------


class Plain:
    """A default value as one would write it."""

    def __init__(self, value: Any) -> None:
        self.text = getattr(value, "__name__", None) or repr(value)

    def __repr__(self) -> str:
        return self.text


def signature(value: Any) -> str:
    """How something is called, without types: most arguments may be anything that makes an array."""
    if not callable(value):
        return ""
    nothing = inspect.Parameter.empty
    parameters = list(inspect.signature(value).parameters.values())
    if inspect.isclass(value) and "__init__" not in {name for c in bases(value) for name in vars(c)}:
        parameters = []
    bare = [p.replace(annotation=nothing) for p in parameters if p.name != "self"]
    plain = [p if p.default is nothing else p.replace(default=Plain(p.default)) for p in bare]
    return str(inspect.Signature(plain))


def bases(value: type) -> list[type]:
    """A class and its bases, without those that take any arguments for a subclass to choose from."""
    return [c for c in value.__mro__ if c not in (object, ge.nn.Module) or c is value]


def prose(text: str) -> str:
    """A docstring as Markdown: an example becomes a block of code, and what has an entry a link to it.

    Sections in NumPy's style become lists of definitions.
    """
    text = inspect.cleandoc(text)
    titled = re.sub(r"^(\w+)\n-+$", r"**\1**\n", text, flags=re.MULTILINE)
    out = []
    for part in re.split(r"\n\s*\n", titled):
        said, prompt, example = part.partition(">>> ")
        if titled != text:
            said = re.sub(r"^(\S.*)\n    ", r"\n`\1`\n:   ", said, flags=re.MULTILINE)
        out += [linked(said), f"```pycon\n{prompt}{example}\n```" if prompt else ""]
    return "\n\n".join(part.strip("\n") for part in out if part.strip())


def linked(text: str) -> str:
    """The text with a link at each name that has an entry."""

    def link(name: re.Match[str]) -> str:
        path = f"ge.{name[2]}"
        return f"[{name[0]}]({entries()[path]}#{path})" if path in entries() else name[0]

    return re.sub(r"`(ge|gradengine)\.([\w.]+)`", link, text)


def entry(path: str, level: int = 3, text: str = "") -> str:
    """Heading, with the signature, and docstring of one path; of a second path of something, where it is described."""
    owner, _, name = path.rpartition(".")
    of_class = inspect.isclass(found(owner))
    value = inspect.getattr_static(found(owner), name) if of_class else found(path)
    value = getattr(value, "__func__", value)  # of a static or class method
    text = prose(text or value.__doc__ or "")
    first = path if of_class else described().get(id(value), path)
    if first != path:
        text = f"The same as {linked(f'`{first}`')}."
    elif inspect.isclass(value) and issubclass(value, Exception):
        kinds = [f"`{'ge.' * (kind.__name__ in ge.errors.__all__)}{kind.__name__}`" for kind in value.__bases__]
        text += linked(f"\n\nBases: {', '.join(kinds)}.")
    shown = f"{owner.rpartition('.')[2]}.{name}" if of_class else path
    return f'{"#" * level} `{shown}{signature(value)}` {{: #{path} data-toc-label="{name}" }}\n\n{text}'


def value_entry(path: str, text: str) -> str:
    """A line for a value, or the heading of an attribute."""
    if inspect.isclass(found(path.rpartition(".")[0])):
        return entry(path, text=text)
    return f'- <a id="{path}"></a>`{path}`: {linked(text)}'


def functions(path: str) -> str:
    """The methods that are functions of `ge`, each with a link."""
    parts = []
    for name, function in sorted(functions_of(found(path)).items()):
        target = f"{entries()[f'ge.{function}']}#ge.{function}"
        parts.append(f"[`{name}`]({target})" if name == function else f"`{name}` ([`{function}`]({target}))")
    return ", ".join(parts)


def command(words: list[str]) -> str:
    """What a command prints when it is asked for help."""
    said = io.StringIO()
    wide = mock.patch.dict(os.environ, COLUMNS="110", NO_COLOR="1")
    with wide, contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        cli.main([*words, "--help"])
    return f"```text\n{said.getvalue().rstrip()}\n```"


def contents(pages: list[str]) -> str:
    """The names on these pages. A second name is left out where the page has the first, and so are methods."""
    out = []
    for page in pages:
        title = (FOLDER / page).read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        names = [path for path, where in entries().items() if where == page and is_listed(path)]
        out += [f"## [{title}]({page}) {{: #{page.removesuffix('.md')} }}"]
        out += [", ".join(f"[`{path.rpartition('.')[2]}`]({page}#{path})" for path in names)]
    return "\n\n".join(out)


def is_listed(path: str) -> bool:
    """Whether the list of all names has this one."""
    if not loads(path.removeprefix("ge.")):
        return True
    first = described().get(id(found(path)), path)
    is_member = inspect.isclass(found(path.rpartition(".")[0]))
    return not is_member and (first == path or entries()[first] != entries()[path])


def written(line: str, pages: list[str]) -> str:
    """What comes in the place of a line."""
    if line == "contents":
        return contents(pages)
    if line.startswith("functions of "):
        return functions(line.removeprefix("functions of "))
    if line.startswith("command"):
        return command(line.split()[1:])
    named, paths = NAMED.fullmatch(line), paths_of(line)
    if not paths:
        raise ValueError(f"docs/reference: nothing is found for the line '::: {line}'")
    if named and named["text"]:
        return value_entry(paths[0], named["text"])
    below = [entry(path, 4 if named and not named["alone"] else 3) for path in paths[1:]]
    return "\n\n".join([entry(paths[0]), *below])


def filled(page: str, pages: list[str]) -> str:
    """A page with what its lines ask for. `pages` are those that the list of all names goes through."""
    return LINE.sub(lambda match: written(match[1], pages), page)


# -- the site ---------------------------------------------------------------------------------------------------------


def on_files(files: Any, config: Any) -> Any:
    """Bring in the pages that are not in docs/, and the colours of code."""
    from mkdocs.structure.files import File
    from pygments.formatters import HtmlFormatter

    for known in (lines, named_by_themselves, entries, described):  # `mkdocs serve` asks again
        known.cache_clear()
    made = {page: (REPOSITORY / name).read_text(encoding="utf-8") for name, page in BESIDE.items()}
    made = {page: text.replace("](docs/", "](") for page, text in made.items()}
    made["code.css"] = HtmlFormatter().get_style_defs(".codehilite")
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fill a page of the reference, turn links to pages that are not in docs/, and say which code is a session."""
    if page.file.src_uri.startswith("reference/"):
        markdown = filled(markdown, list(in_order(config["nav"])))
    for name, target in BESIDE.items():
        markdown = re.sub(rf"\]\((\.\./)*{re.escape(name)}", f"]({target}", markdown)
    return re.sub(r"^```python\n(?=>>> )", "```pycon\n", markdown, flags=re.MULTILINE)


def in_order(nav: Any) -> Iterator[str]:
    """The pages of the reference in the order of the menu, without the first, which lists them."""
    if isinstance(nav, str):
        if nav.startswith("reference/") and nav != "reference/index.md":
            yield nav.removeprefix("reference/")
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from in_order(part)
