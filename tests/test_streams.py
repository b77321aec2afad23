import subprocess
import sys

from truing.streams import _TABLE, STREAMS


def test_no_name_is_given_twice() -> None:
    assert len(STREAMS) == len(_TABLE)


def test_every_stream_has_a_known_shape_and_maker_and_a_meaning() -> None:
    makers = {"policy", "reference", "rollouts", "rewards", "advantages", "data", "statistics"}
    for stream in STREAMS.values():
        assert stream.shape in {"rows tokens", "rows aspects", "rows", "pairs", ""}, stream.name
        assert set(stream.maker.split(" or ")) <= makers, stream.name
        assert stream.meaning, stream.name


def test_looking_at_streams_and_registries_imports_no_torch() -> None:
    code = "import sys, truing.streams, truing.registry; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
