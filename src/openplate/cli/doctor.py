"""`openplate doctor`: what is installed, what really runs, and whether it computes right; exit code 1 when something is wrong."""

from __future__ import annotations

import json

import click

from openplate.doctor import as_text, diagnose


@click.command()
@click.option("--engine", default="auto", show_default=True, metavar="NAME", help="auto, openvino or onnxruntime.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, gpu, ...")
@click.option("--precision", default="auto", show_default=True, metavar="NAME", help="auto, fp32 or bf16.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Threads of the engine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.pass_context
def doctor(ctx: click.Context, engine: str, device: str, precision: str, threads: int, as_json: bool) -> None:
    """Show versions, the engine that really runs, the weights' state and a self-test.

    Example: openplate doctor --threads 2
    """
    diagnosis = diagnose(engine=engine, device=device, precision=precision, threads=threads)
    click.echo(json.dumps(diagnosis.as_json(), ensure_ascii=False, indent=2) if as_json else as_text(diagnosis))
    if diagnosis.faults:
        ctx.exit(1)
