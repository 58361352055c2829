"""How PyTorch and NumPy spell a call that the declaration spells otherwise, such as `dim` for `axis`.

A `Spelling` is a fact of a declaration. It is read when a call does not fit as it stands, so the usual call pays
nothing. A word that means the same in both libraries is translated. Where PyTorch means something else (`max(dim=1)`
gives values and indices), the declaration carries PyTorch's form, which runs when a keyword is given that only PyTorch
has.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from ..errors import SignatureError
from ..validation import SYNONYMS, check_flags, check_ignored, close_to, did_you_mean, flags_of
from .interpreter import k

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NONE: Mapping[str, str] = {}
# What a word may stand for, in order: the first of these that the function has.
COMMON: Mapping[str, tuple[str, ...]] = {
    "dim": ("axis",),
    "dims": ("axis", "axes"),
    "keepdim": ("keepdims",),
    "tensors": ("arrays",),
    "size": ("shape",),
    "ddof": ("correction",),
    "diagonal": ("offset", "k"),
    "end": ("stop",),
    "indices": ("index",),
    "index": ("indices",),
    "axis": ("axes", "dim"),
    "keepdims": ("keepdim",),
}
BY_PLACE = {"input": 0, "other": 1}  # words for the arrays, which are positional here
NEUTRAL = frozenset({"input", "out", "self"})  # words that do not choose between the libraries


class Spelling:
    """The words of one function: its parameters, the first of which are positional only, and what others stand for.

    `form(k, *args, **words)` is PyTorch's function of that name, where PyTorch means something else. `mark(result,
    name, given)` sees what a call gave whose metadata came by position, to make loud a use that PyTorch's users mean.
    `variadic` is the parameter of `*shape` and the like; `ignored` are words that change nothing, such as `layout`.
    `lifts` says that PyTorch takes a 0-d array for a vector of one element here, where it is given an axis.
    """

    __slots__ = ("choosing", "first", "form", "ignored", "lifts", "mark", "name", "other", "parameters", "variadic")

    def __init__(
        self,
        name: str,
        parameters: Sequence[str],
        positional_only: int = 0,
        words: Mapping[str, str] = NONE,
        form: Callable[..., Any] | None = None,
        mark: Any = None,
        variadic: str = "",
        ignored: frozenset[str] = frozenset(),
        lifts: bool = False,
    ) -> None:
        self.name, self.first, self.lifts = name, positional_only, lifts
        self.parameters = (*parameters, variadic) if variadic else tuple(parameters)
        self.form, self.mark, self.variadic, self.ignored = form, mark, variadic, ignored
        self.other = words
        own = frozenset(self.parameters[positional_only:])
        self.choosing = frozenset(form_parameters(form)) - own - NEUTRAL if form is not None else frozenset()

    @property
    def words(self) -> dict[str, int]:
        """The place of the parameter that each other word stands for."""
        return meanings(self)

    def read_words(self) -> dict[str, int]:
        """`words`, which are put together when they are first asked for: there are hundreds of ops."""
        found = {word: place for word, place in BY_PLACE.items() if place < len(self.parameters)}
        for word, several in COMMON.items():
            meant = next((name for name in several if name in self.parameters), None)
            if meant is not None and word not in self.parameters:
                found[word] = self.parameters.index(meant)
        for word, name in self.other.items():
            found[word] = self.parameters.index(name)
        return found

    def chooses_form(self, given: Mapping[str, Any]) -> bool:
        """Whether a keyword is given that PyTorch's form alone has."""
        return not self.choosing.isdisjoint(given)

    def translate(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments in the words of the declaration. Raises SignatureError for a word that stands for nothing."""
        words = meanings(self)
        own: dict[str, Any] = {}
        by_place: dict[int, Any] = {}
        for word, value in given.items():
            if word in self.ignored:
                check_ignored(self.name, word, value)
                continue
            place = words.get(word)
            if place is None:
                if word not in self.parameters[self.first :]:
                    raise self.unknown(given)
                place = self.parameters.index(word)
            name = self.parameters[place]
            if word == "dim" and value == () and "keepdims" in self.parameters:
                value = None  # to PyTorch's reductions, no axis means all of them
            if name == self.variadic:
                args = (*args, value)
                continue
            by_position = place < len(args) and not self.variadic
            if by_position or place in by_place or name in own:
                raise SignatureError(f"{self.name}: got {name!r} twice{'' if word == name else f', once as {word!r}'}")
            if place < self.first:
                by_place[place] = value
            else:
                own[name] = value
        while len(args) in by_place:
            args = (*args, by_place.pop(len(args)))
        if by_place:
            raise SignatureError(f"{self.name}: needs {self.parameters[len(args)]!r}; {self.accepted()}")
        return args, own

    def in_pytorch_form(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> Any:
        """PyTorch's function. Raises SignatureError for arguments that it does not have."""
        words, own = dict(given), form_parameters(self.form)
        first = {place: word for word, place in self.words.items() if word in words and word not in own}
        while len(args) < self.first and len(args) in first:
            args = (*args, words.pop(first[len(args)]))
        if args and getattr(args[0], "shape", None) == () and words.get("dim") in ((0,), (-1,), [0], [-1]):
            words["dim"] = words["dim"][0]
        check_flags(self.name, flags_of(self.form)[0], (None, *args), words)  # type: ignore[arg-type]
        try:
            return self.form(k, *args, **words)  # type: ignore[misc]
        except TypeError as error:
            problem = self.misfit(args, words)
            if problem is None:
                raise error
        raise SignatureError(f"{self.name}: {problem}") from None

    def takes_vectors(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> bool:
        """Whether a call in PyTorch's words is one of a 0-d array that stands for a vector of one element."""
        if not any([word.startswith("dim") for word in given]):
            return False
        first = args[0] if args else given.get("input")
        return (self.lifts or "keepdims" in self.parameters) and getattr(first, "shape", None) == ()

    def misfit(self, args: tuple[Any, ...], words: Mapping[str, Any]) -> str | None:
        """What is wrong with arguments for PyTorch's form; None where they fit."""
        signature = inspect.signature(self.form)  # type: ignore[arg-type]
        try:
            signature.bind(None, *args, **words)
        except TypeError as error:
            taken = ", ".join(form_parameters(self.form))
            mixed = [word for word in words if word in self.parameters and word not in signature.parameters]
            chosen = next((word for word in words if word in self.choosing), None)
            if chosen is None:
                return f"{error}; {self.accepted()}"
            if mixed:
                return (
                    f"{chosen!r} is PyTorch's word, {mixed[0]!r} is not; give all in PyTorch's words ({taken}) or none"
                )
            return f"{error}; with {chosen!r} it is PyTorch's function, which takes {taken}"
        return None

    def unknown(self, given: Mapping[str, Any]) -> SignatureError:
        """The error for keywords that stand for nothing here."""
        strange = [word for word in given if word not in self.words and word not in self.parameters[self.first :]]
        shown = ", ".join([repr(word) for word in strange])
        return SignatureError(f"{self.name}: unexpected keyword {shown}{self.advice(strange)}; {self.accepted()}")

    def advice(self, strange: Sequence[str]) -> str:
        """The keyword that was probably meant."""
        if len(strange) != 1:
            return ""
        known = [*self.parameters[self.first :], *self.words, *self.choosing]
        return did_you_mean([n for n in SYNONYMS.get(strange[0], ()) if n in known] or close_to(strange[0], known))

    def accepted(self) -> str:
        """The keywords that there are, for error messages."""
        known = [word for word, place in self.words.items() if place >= self.first]
        own = [*self.parameters[self.first :], *shown([*known, *sorted(self.choosing)])]
        return f"accepted: {', '.join(dict.fromkeys(own)) or 'no keywords'}"

    def signature(self, signature: inspect.Signature) -> inspect.Signature:
        """A signature in which the other words follow, as keywords."""
        parameters = list(signature.parameters.values())
        taken = {p.name for p in parameters}
        other = [word for word in self.words if word not in taken and self.words[word] >= self.first]
        other += [word for word in form_parameters(self.form) if word in self.choosing and word not in other]
        keyword = [inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY, default=None) for word in shown(other)]
        rest = [p for p in parameters if p.kind is p.VAR_KEYWORD]
        own = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
        return signature.replace(parameters=[*own, *keyword, *rest])


def on_vectors(call: Callable[..., Any], args: Sequence[Any], given: Mapping[str, Any]) -> Any:
    """A call in which 0-d Tensors are vectors of one element, and such vectors in its result 0-d Tensors."""

    def lifted(x: Any) -> Any:
        return x.reshape((1,)) if hasattr(x, "backend") and x.shape == () else x

    def lowered(y: Any) -> Any:
        return y.reshape(()) if y.shape == (1,) else y

    result = call(*[lifted(x) for x in args], **{word: lifted(x) for word, x in given.items()})
    if isinstance(result, tuple):
        return type(result)(*[lowered(y) for y in result])
    return lowered(result)


@functools.cache
def meanings(spelling: Spelling) -> dict[str, int]:
    """The words of a spelling, once."""
    return spelling.read_words()


class Signed:
    """What `__wrapped__` of a public function is: `inspect.signature` reads all its words off it, once it is asked."""

    def __init__(self, function: Callable[..., Any], spelling: Spelling) -> None:
        self.__wrapped__, self.spelling = function, spelling

    @property
    def __signature__(self) -> inspect.Signature:
        return self.spelling.signature(inspect.signature(self.__wrapped__))


def shown(words: list[str]) -> list[str]:
    """The words that a signature shows: PyTorch's, not those that stand for what NumPy has called otherwise."""
    hidden = {"other", "ddof", "axis", "keepdims", *NEUTRAL, *(("dims",) if "dim" in words else ())}
    return [word for word in words if word not in hidden]


def form_parameters(form: Callable[..., Any] | None) -> tuple[str, ...]:
    """The names of the parameters of PyTorch's form, without the interpreter and the array."""
    if form is None:
        return ()
    code = form.__code__
    return code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
