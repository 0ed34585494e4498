"""Grading: the inputs are drawn, the answer is called, and its results are checked, part by part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.evidence import JacobianPair
from minicnn.testing.exercises import sheet
from minicnn.testing.exercises.answer import AnswerError, AnswerStopped, printed, running
from minicnn.testing.exercises.comparing import as_results, difference, modified
from minicnn.testing.exercises.exercise import Exercise, Function
from minicnn.testing.exercises.grade import NOT_REACHED, NOT_STARTED, Grade, Part
from minicnn.testing.gradcheck import gradcheck
from minicnn.testing.report import FAIL, PASS, VERDICTS, Report

DRAWS = 2  # of each situation: other shapes and numbers each time


def grade_file(path: Path, *, seed: int | None = None, limit_s: float = 60.0) -> Grade:
    """Grade a student's file. **It is executed**: in a process of its own, but with all rights of the caller.

    Parameters
    ----------
    path : pathlib.Path
        Only the function to be written is taken from it; inputs, forward and verdicts come from this package, and
        are made in this process.
    seed : int, optional
        Draws other inputs than the student's own; at least 0.
    limit_s : float
        Seconds until the student's process is ended.

    Returns
    -------
    Grade
        The same for the same file and seed.

    Raises
    ------
    ValueError
        If the file is no exercise file, its exercise is unknown, or its header was changed.
    OSError
        If it cannot be read.
    """
    answered = sheet.read(path)
    exercise, student = answered.exercise, answered.student
    seed = sheet.number(exercise.name, student) if seed is None else seed
    if objection := sheet.objection(answered):
        return Grade(exercise, student, seed, _whole(exercise, FAIL, objection))
    with running(answered.source, exercise.function, limit_s) as (answer, log):
        try:
            answer.exchange(None)
        except (NotImplementedError, AnswerError, AnswerStopped) as error:
            parts = _whole(exercise, FAIL, f"the file does not load: {error}")
        else:
            parts = evaluate(exercise, answer, seed)
        return Grade(exercise, student, seed, parts, printed(log))


def evaluate(exercise: Exercise, answer: Function, seed: int) -> tuple[Part, ...]:
    """The verdicts of all parts of an exercise about one answer.

    Parameters
    ----------
    exercise : Exercise
    answer : callable
        Called as the exercise's solution would be.
    seed : int
        Draws the inputs.

    Returns
    -------
    tuple of Part

    Examples
    --------
    >>> from minicnn.testing.exercises import find
    >>> from minicnn.testing.exercises.grading import evaluate
    >>> parts = evaluate(find("iou"), find("iou").solution, seed=1)
    >>> {part.verdict for part in parts}
    {'PASS'}
    """
    parts: list[Part] = []
    try:
        parts.extend(_parts(exercise, answer, seed))
    except NotImplementedError:
        return _whole(exercise, NOT_STARTED, "")
    except AnswerStopped as stop:
        names = part_names(exercise)[len(parts) :]
        parts.append(Part(names[0], FAIL, str(stop)))
        parts.extend(Part(name, NOT_REACHED) for name in names[1:])
    return tuple(parts)


def part_names(exercise: Exercise) -> list[str]:
    """Names of the parts, in the order in which they are graded."""
    gradients = exercise.gradients if exercise.forward else ("",)
    return [_name(case, g) for case in exercise.cases for g in gradients] + [_name(case, "") for case in exercise.edges]


def _name(case: str, gradient: str) -> str:
    return f"gradient of {gradient}, {case}" if gradient else case


def _whole(exercise: Exercise, verdict: str, sentence: str) -> tuple[Part, ...]:
    return tuple(Part(name, verdict, sentence) for name in part_names(exercise))


def _parts(exercise: Exercise, answer: Function, seed: int) -> Iterator[Part]:
    for position, (case, sampler) in enumerate([*exercise.cases.items(), *exercise.edges.items()]):
        derived = exercise.forward is not None and case in exercise.cases
        worst: dict[str, Part] = {}
        for draw in range(DRAWS):
            rng = np.random.default_rng([seed, position + 1, draw])
            sample = sampler(rng)
            found = _compared(exercise, answer, case, sample, rng)
            if not derived:
                parts = [found or Part(case, PASS)]
            elif found is None:
                parts = list(_checked(exercise, answer, case, sample, int(rng.integers(2**31))))
            else:
                parts = [replace(found, name=_name(case, gradient)) for gradient in exercise.gradients]
            for part in parts:
                worst[part.name] = min(worst.get(part.name, part), part, key=_severity)
            if all(part.verdict == FAIL for part in worst.values()):
                break
        yield from worst.values()


def _severity(part: Part) -> int:
    return VERDICTS.index(part.verdict)


def _compared(
    exercise: Exercise, answer: Function, case: str, sample: Sample, rng: np.random.Generator
) -> Part | None:
    """What is wrong with the answer's results; where the checker judges their values, with all but those."""
    values = exercise.arguments(sample, rng)
    kept = [np.array(v) for v in values]
    try:
        got = as_results(answer(*values, **sample.kwargs))
    except (NotImplementedError, AnswerStopped):
        raise
    except Exception as error:  # noqa: BLE001 - whatever the answer does, the student is told
        message = str(error) if isinstance(error, AnswerError) else f"{type(error).__name__}: {error}"
        return Part(case, FAIL, message)
    with np.errstate(all="ignore"):
        names = (("gy",) if exercise.forward else ()) + exercise.inputs
        if changed := modified(names, values, kept):
            message = f"your function writes into its argument {changed}"
            return Part(case, FAIL, message, exercise.hint("modified", case))
        values = tuple(kept)
        right = as_results((exercise.oracle or exercise.solution)(*values, **sample.kwargs))
        derived = exercise.forward is not None and case in exercise.cases
        outputs = [f"g{name}" for name in exercise.gradients] if exercise.forward else []
        wrong = difference(got, right, outputs, values_too=not derived)
        if not wrong:
            return None
        for mistake in exercise.mistakes:
            typical = as_results(mistake.function(*[v.copy() for v in kept], **sample.kwargs))
            if not difference(got, typical, outputs) and difference(typical, right, outputs):
                return Part(case, FAIL, f"{mistake.sentence}. {wrong}", mistake.hint)
    where = ", ".join([*(f"{n} {v.shape}" for n, v in zip(names, kept, strict=True)), *_options(sample)])
    return Part(case, FAIL, f"{wrong}; for {where}", 0 if wrong.startswith("you return") else exercise.hint(case))


def _options(sample: Sample) -> list[str]:
    return [f"{name}={value}" for name, value in sample.kwargs.items()]


def _checked(exercise: Exercise, answer: Function, case: str, sample: Sample, seed: int) -> Iterator[Part]:
    """The checker's verdict about each gradient."""
    inputs = exercise.inputs

    def backward(gy: Array, *values: Any, **options: Any) -> tuple[Any, ...]:
        gradients = dict(zip(exercise.gradients, as_results(answer(gy, *values, **options)), strict=True))
        return tuple(gradients.get(name) for name in inputs)

    if exercise.forward is None:
        raise ValueError(f"exercise {exercise.name} has no forward")
    report = gradcheck(exercise.forward, sample.args, backward=backward, kwargs=sample.kwargs, seed=seed)
    for gradient in exercise.gradients:
        yield _part(exercise, case, gradient, report)


def _part(exercise: Exercise, case: str, gradient: str, report: Report) -> Part:
    name, label = _name(case, gradient), f"input {exercise.inputs.index(gradient)}"
    findings = [f for f in report.findings if _about(f.where, label) or not f.where.startswith("input ")]
    compared = [c for c in report.compared if c.input == label]
    verdicts = {c.verdict for c in compared} | {Report(findings=findings).verdict}
    verdict = next(v for v in VERDICTS if v in verdicts)
    if verdict == PASS:
        return Part(name, PASS)
    sentences = [d.sentence for d in report.diagnoses if _about(d.where, label)][:1]
    cause = next((d.cause for d in report.diagnoses if _about(d.where, label)), "")
    sentences += [_worst(pair, gradient) for pair in report.jacobians if pair.input == label and pair.wrong.any()][:1]
    if not sentences:
        shown = [c for c in compared if c.verdict == verdict]
        sentences = [f"{c.where}: yours is {c.analytic:.6g}, it should be {c.numeric:.6g}" for c in shown][:1]
    if not sentences:
        sentences = [f"{f.kind}: {f.message}" for f in findings][:1]
    words = ". ".join(_in_words(sentence.rstrip("."), exercise) for sentence in sentences)
    return Part(name, verdict, words, exercise.hint(cause, gradient, case), cause)


def _worst(pair: JacobianPair, gradient: str) -> str:
    """The entry of the Jacobian that is furthest off."""
    off = np.where(pair.wrong, np.nan_to_num(np.abs(pair.analytic - pair.numeric), nan=np.inf), -1.0)
    row, column = np.unravel_index(np.argmax(off), off.shape)
    of = [int(i) for i in np.unravel_index(pair.rows[row], pair.output_shape)] or ""
    by = [int(i) for i in np.unravel_index(pair.columns[column], pair.input_shape)] or ""
    values = f"{pair.analytic[row, column] + 0:.6g}, it should be {pair.numeric[row, column] + 0:.6g}"
    return f"for example, dy{of}/d{gradient}{by} is {values}"


def _about(where: str, label: str) -> bool:
    return re.match(rf"{label}(?!\d)", where) is not None


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _in_words(sentence: str, exercise: Exercise) -> str:
    """``input 1`` as the argument's name."""
    named = re.sub(r"input (\d+)", lambda m: exercise.inputs[int(m[1])], sentence)
    for word, ours in (("output 0", "y"), ("analytic", "yours"), ("numeric", "the true one")):
        named = re.sub(rf"\b{word}\b", ours, named)
    return _capital(named)
