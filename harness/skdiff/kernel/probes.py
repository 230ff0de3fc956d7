"""The probes of a traced build: macros that take a function's place, call it, and note what came back.

The kernel's text stays as it is: a macro is defined behind its function, and does not expand in itself. A step is noted
when the function returns, so that the innermost of two nested functions comes first.
"""

import re

from skdiff.cases.steps import MAX_VALUES, StepKind

_RESULT = "r__"  # no name of the kernel's


def probe(number: int, step: StepKind, name: str) -> str:
    """The macro of a step of that number, whose function is called `name` in a tree; one line of C."""
    arguments = step.parameters.replace("...", "__VA_ARGS__" if step.parameters == "..." else "##__VA_ARGS__")
    call = f"{name}({arguments})"
    values = [_expression(value) for value in step.values.values()]
    values += ["0"] * (MAX_VALUES - len(values))
    note = f"reference_step({number}, {', '.join(values)});"
    if step.only_if:
        note = f"if ({_expression(step.only_if)}) {note}"
    body = f"{step.returns} {_RESULT} = {call}; {note} {_RESULT};" if step.returns else f"{call}; {note}"
    return f"#define {name}({step.parameters}) ({{ {body} }})"


def _expression(text: str) -> str:
    return re.sub(r"\bresult\b", _RESULT, text)
