import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from openplate.errors import ConfigError
from openplate.train.config import DetectorConfig, LoopConfig, ReaderConfig
from openplate.train.processes import ALONE, Place, agreed, choose_device, find_place, in_parallel, take_share

ROOT = Path(__file__).parents[2]
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


def test_two_processes_end_with_the_same_weights_and_the_first_alone_writes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "tests/train/two_processes.py", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    for sitting in (
        ["4"],
        [],
    ):  # four of six steps, then the rest as after an interruption: each a start of its own, as a group is joined once a process
        done = subprocess.run([*command, *sitting], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert list(first["weights"]) == list(second["weights"])
    assert all(torch.equal(first["weights"][name], second["weights"][name]) for name in first["weights"])
    assert (first["rows"], second["rows"]) == (4, 4) == (first["batch"], second["batch"])  # half of a batch of eight each
    assert first["seed"] != second["seed"]
    assert (first["checks"], second["checks"]) == (1, 0)  # steps 3 and 6, of which the second sitting made one
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["best.pt", "config.json", "last.pt", "log.csv"]
    assert [row.split(",")[0] for row in (tmp_path / "run/log.csv").read_text().splitlines()] == ["step", "3", "6"]
    saved = torch.load(tmp_path / "run/last.pt", weights_only=True)["network"]
    assert all(torch.equal(saved[name], value) for name, value in first["weights"].items())


def test_place_is_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert find_place() == ALONE and ALONE.first
    for name, value in zip(VARIABLES, ("5", "8", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert find_place() == Place(rank=5, count=8, local=1)
    assert not find_place().first
    monkeypatch.setenv("RANK", "five")
    with pytest.raises(ConfigError, match="expected the numbers that torchrun sets, got five, 8, 1"):
        find_place()


def test_process_alone_keeps_its_config_and_its_network() -> None:
    config, network, device = DetectorConfig(), torch.nn.Linear(2, 2), torch.device("cpu")
    assert take_share(config, ALONE) == config
    assert in_parallel(network, ALONE, device) is network
    assert agreed(True, ALONE, device) and not agreed(False, ALONE, device)


def test_share_divides_batch_and_shard_and_keeps_the_first_seed() -> None:
    config = ReaderConfig(loop=LoopConfig(batch=64, seed=3), shard=12_800)
    shares = [take_share(config, Place(rank, 4, rank)) for rank in range(4)]
    assert {(share.loop.batch, share.shard) for share in shares} == {(16, 3200)}
    assert shares[0].loop.seed == 3 and len({share.loop.seed for share in shares}) == 4
    # A shard lasts as many steps as before, so that difficulty and passes go as before.
    assert shares[0].shard // shares[0].loop.batch == config.shard // config.loop.batch


def test_batch_that_cannot_be_shared_gives_error() -> None:
    with pytest.raises(ConfigError, match="batch = 64 and shard = 12800 must be multiples of the number of processes, 3"):
        take_share(ReaderConfig(), Place(0, 3, 0))


def test_each_process_of_a_machine_gets_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda", Place(rank=3, count=4, local=1)) == torch.device("cuda:1")
    assert choose_device("cuda") == torch.device("cuda:0")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("cpu", Place(rank=3, count=4, local=1)) == torch.device("cpu")
    with pytest.raises(ConfigError, match='device = "cuda": expected a GPU number 2, this machine has 2; start fewer processes'):
        choose_device("cuda", Place(rank=2, count=3, local=2))
