"""The value of an option for countries: "ru, kz" in, the codes ("ru", "kz") out; what names no country is a usage error."""

from __future__ import annotations

import click


def country_codes(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """The callback of an option: the codes, one at least; None where the option was not given.

    Raises:
        click.BadParameter: there is no code.
    """
    codes = None if value is None else split_codes(value)
    if codes == ():
        raise click.BadParameter(f"expected codes of countries such as ru,kz, got {value!r}; leave the option out to choose none", ctx, param)
    return codes


def split_codes(text: str) -> tuple[str, ...]:
    """The codes of "ru, kz"; none of what names none."""
    return tuple(code.strip() for code in text.split(",") if code.strip())
