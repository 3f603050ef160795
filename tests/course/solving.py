"""An exercise's answer from a lesson's source, without executing the lesson.

What an exercise may use: imports of the cells before it, cells with the option `setup`, and the exercises before it.
"""

import ast

from ladi_mini.course.lesson import Lesson, solution_of

IMPORTS = (ast.Import, ast.ImportFrom)


def answer(lesson: Lesson, name: str, solved: bool = True) -> object:
    """What `check(name, ...)` is given: by the solution, or (`solved=False`) by the blank that a student gets."""
    target = lesson.exercises[name]
    space: dict[str, object] = {}
    for cell in lesson.cells[: target.number]:
        if cell.kind != "code":
            continue
        shown = lesson.blank[cell.number - 1].source if cell is target and not solved else solution_of(cell)
        whole = cell.exercise is not None or cell.options.get("setup")
        body = [node for node in ast.parse(shown).body if isinstance(node, IMPORTS) or (whole and not _is_course(node))]
        exec(compile(ast.Module(body, []), f"<cell {cell.number} of {lesson.slug}>", "exec"), space)
    return eval(compile(ast.Expression(lesson.answer_to(name)), "<answer>", "eval"), space)


def _is_course(node: ast.stmt) -> bool:
    """A call of check or start, on a line of its own."""
    call = node.value if isinstance(node, ast.Expr) else None
    names = {part.id for part in ast.walk(call.func) if isinstance(part, ast.Name)} if isinstance(call, ast.Call) else set()
    return bool(names & {"check", "start", "show"})
