import pytest
from click.testing import CliRunner, Result

from openplate.cli import main
from openplate.cli.codes import split_codes


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_codes_are_divided_by_commas_and_blanks_are_dropped() -> None:
    assert split_codes(" ru, kz,") == ("ru", "kz")
    assert split_codes(" , ") == ()


@pytest.mark.parametrize("value", ["", ",", " , "])
@pytest.mark.parametrize("option", ["--country", "--only"])
@pytest.mark.parametrize(
    "verb",
    [
        ("read", "a.jpg"),
        ("watch", "a.mp4"),
        ("serve", "--database", "nonsense://"),
        ("evaluate", "street"),
        ("evaluate-video", "drawn"),
        ("compare", "a.onnx", "b.onnx", "street"),
    ],
    ids=lambda verb: verb[0],
)
def test_option_that_names_no_country_is_a_usage_error(verb: tuple[str, ...], option: str, value: str) -> None:
    result = run(*verb, option, value)
    assert (result.exit_code, result.stdout) == (2, "")
    told = f"Invalid value for '{option}': expected codes of countries such as ru,kz, got {value!r}; leave the option out to choose none"
    assert told in result.stderr


@pytest.mark.parametrize(
    "verb",
    [("formats",), ("synthesize", "crops", "--count", "1", "--out", "drawn"), ("data", "prelabel", "street", "--to", "more")],
    ids=lambda verb: verb[0],
)
def test_country_alone_that_names_none_is_a_usage_error(verb: tuple[str, ...]) -> None:
    result = run(*verb, "--country", ",")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected codes of countries such as ru,kz, got ','" in result.stderr
