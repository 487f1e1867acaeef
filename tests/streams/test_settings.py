from typing import Any

import pytest

from openplate.errors import ConfigError
from openplate.streams import StreamSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stride": 0}, "stride: expected 1 or more, got 0"),
        ({"from_s": -1.0}, "from_s: expected 0 or more, got -1"),
        ({"loop": -1}, "loop: expected 0 or more, got -1"),
        ({"queue": 0}, "queue: expected 1 or more, got 0"),
        ({"decode_threads": 0}, "decode_threads: expected 1 or more, got 0"),
        ({"fps": 0.0}, "fps: expected more than 0, got 0"),
        ({"stall_s": 0.0}, "stall_s: expected more than 0, got 0"),
        ({"give_up_s": -2.0}, "give_up_s: expected more than 0, got -2"),
        ({"from_s": 5.0, "to_s": 5.0}, r"to_s: expected more than from_s \(5\), got 5"),
        ({"from_s": float("nan")}, "from_s: expected 0 or more, got nan"),
        ({"size": (8, 480)}, "size: expected width and height of at least 16 px, got 8×480"),
        ({"transport": "smoke"}, "transport: expected tcp, udp or http, got 'smoke'"),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StreamSettings(**values)
