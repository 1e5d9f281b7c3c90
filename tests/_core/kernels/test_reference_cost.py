"""What the reference costs: how many operators it calls, how large they are, and their memory."""

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from oracle import same_bits
from torchdropout import Key, MaskLayout, backends
from torchdropout._core.contract.noise import Law
from torchdropout._core.kernels import _fill, add, counted, noise, reference
from torchdropout._core.ops import _drop_blocks

KEY = Key(3, 2**40).tensor()
GRAIN = 2**15  # from this many elements on, torch's threads share an elementwise operator
# These compute nothing; a stack copies its parts one by one, and the last writes at some indices.
NO_WORK = {"empty", "empty_like", "stack", "index_put_"}


class Largest(TorchDispatchMode):
    """Notes the size of the largest operator that computes."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        y = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name not in NO_WORK and not function.is_view and isinstance(y, torch.Tensor):
            self.largest = max(self.largest, y.numel())
        return y


def draw(x, p=0.1):
    strides = MaskLayout.of(x.shape).strides
    return reference.masked_affine(x, Key(1).tensor(), p, 1 / (1 - p), 0.0, 0.0, 0, strides)


@pytest.mark.parametrize("shape", [(2**20 + 5,), (2**11, 2**10)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_operator_on_the_cpu_waits_for_threads(monkeypatch, dtype, shape):
    """On more elements, the threads wait for one another after each of a hundred operators."""
    x = torch.ones(shape, dtype=dtype)
    if len(shape) == 2:
        x = x.t()
    alone = draw(x)  # the tests run with one thread, which waits for nobody
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with Largest() as seen:
        y = draw(x)
    assert 2**10 < seen.largest < GRAIN
    assert torch.equal(y, alone)


def memory_of(function):
    """The bytes of each allocation that a call makes, and negative ones for what it frees."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    events = profiler.profiler.kineto_results.events()
    return [event.nbytes() for event in events if event.name() == "[memory]"]


def test_keep_bits_are_used_as_they_are_known():
    """Where elements lie in the order of their mask indices, no mask is stored."""
    x = torch.ones(2**22)
    assert sorted(memory_of(lambda: draw(x)))[-2] < x.numel()


class Memory(TorchDispatchMode):
    """Counts the operators that run, and notes the most bytes that their results take."""

    def __init__(self, *known):
        super().__init__()
        self.calls = self.most = 0
        self.known = {StorageWeakRef(x.untyped_storage()).cdata for x in known}
        self.living = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        y = function(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves(y) if isinstance(each, torch.Tensor)]
        self.calls += bool(tensors)  # of dtypes nothing is computed
        for result in tensors:
            storage = result.untyped_storage()
            reference = StorageWeakRef(storage)
            if reference.cdata not in self.known:
                self.living[reference.cdata] = reference, storage.nbytes()
        self.living = {k: v for k, v in self.living.items() if not v[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.living.values()))
        return y


N = 2**24
MANY = torch.stack([Key(s).tensor() for s in range(64)])
PLACE = 2**33 + 5, [4096, 1]
SHARD = 2**33 + 5, [8191, 1]  # each row begins elsewhere in a Philox call
APART = 2**33 + 5, [2**17 + 9, 17]  # each element has a Philox call of its own


def some(*sizes, **given):
    return torch.empty(sizes, device="meta", **given)


def affine(sizes=(4096, 4096), base=5, strides=(4096, 1), key=KEY, shift=0.0, **given):
    x = some(*sizes, **given)
    return reference.masked_affine, x, key, 0.1, 1.1, shift, 0.0, base, strides


SQUARE = some(4096, 4096)
IMAGES = some(64, 64, 64, 64), KEY, 2, 7
RATES = 0.02, 1.1, 1e-6
SEEDS = *RATES, 5, [64 * 70 * 70, 70 * 70, 70, 1]
SEEDS_APART = *RATES, 5, [3 * s + 9 for s in SEEDS[-1]]
# Each has 2**24 elements.
COSTS = {
    "masked_affine": affine(),
    "with a shift": affine(shift=0.5),
    "any strides of x": (reference.masked_affine, SQUARE.t(), *affine()[2:]),
    "float64": affine(dtype=torch.float64),
    "bfloat16": affine(dtype=torch.bfloat16),
    "complex": affine(dtype=torch.complex64),
    "a shard": affine(strides=[8192, 1]),
    "apart": affine(strides=APART[1], base=APART[0]),
    "pairs": affine((N // 2, 2), strides=[4095, 1]),
    "channels": affine((64, 64, 64, 64), strides=[64, 1, 0, 0]),
    "many keys": affine((64, 512, 512), strides=[512, 1], key=MANY),
    **{
        f"keep_bits {name}": (reference.packed_bits, SQUARE, KEY, 0.1, SQUARE.shape, *place)
        for name, place in (("of a shard", SHARD), ("apart", APART))
    },
    **{
        f"masked_by_rates {dtype} {name}": (
            *(reference.masked_by_rates, SQUARE, KEY, some(4096, 4096, dtype=dtype), True),
            *place,
        )
        for dtype in (torch.float32, torch.float64)
        for name, place in (("", PLACE), ("apart", APART))
    },
    **{
        f"noise_affine {law.name} {name}": (noise.noise_affine, SQUARE, KEY, law, 0.5, 0.2, *place)
        for law in Law
        for name, place in (("", PLACE), ("of a shard", SHARD), ("apart", APART))
    },
    **{
        f"dropout_add {name}": (
            *(add.dropout_add, SQUARE, KEY, SQUARE, some(4096), 0.1, 1.1),
            *place,
        )
        for name, place in (("", PLACE), ("apart", APART))
    },
    **{
        f"dropout_add_backward {name}": (
            *(add.dropout_add_backward, some(rows, N // rows), KEY, torch.float32, summed),
            *(0.1, 1.1, PLACE[0], strides),
        )
        for name, rows, summed, strides in (
            ("without a bias", 4096, False, PLACE[1]),
            ("with a bias", 4096, True, PLACE[1]),
            ("with a bias, apart", 4096, True, APART[1]),
            ("with a bias of one", N, True, [1, 1]),
        )
    },
    **{
        f"counted_affine {kept}:{group} {dim} {place[1]}": (
            *(counted.counted_affine, SQUARE, KEY, kept, group, dim, 1.1),
            *place,
        )
        for kept, group, dim, place in (
            (2, 4, -1, PLACE),
            (2, 4, -2, SHARD),
            (8, 16, -1, PLACE),
            (2000, 4096, -1, PLACE),
            (2, 4, -1, APART),
            (8, 16, -1, APART),
            (2000, 4096, -1, APART),
        )
    },
    "choose": (counted.choose, KEY, SQUARE.shape, 2000, True, *PLACE, SQUARE.device),
    "drop_blocks": (_drop_blocks._kernel, *IMAGES, False, *SEEDS),
    "drop_blocks counted": (_drop_blocks._kernel, *IMAGES, True, *SEEDS),
    "drop_blocks of small images": (
        *(_drop_blocks._kernel, some(512, 668, 7, 7), KEY, 2, 7, False, *RATES, 5),
        [668 * 13 * 13, 13 * 13, 13, 1],
    ),
    "drop_blocks apart": (_drop_blocks._kernel, *IMAGES, False, *SEEDS_APART),
}


@pytest.fixture
def ties(monkeypatch):
    """As many as are expected, on a device that has no values."""

    def some_places(tied):
        return torch.zeros((N >> 16, tied.ndim), dtype=torch.int64)

    monkeypatch.setattr(reference, "_places", some_places)


@pytest.mark.parametrize("name", COSTS)
def test_other_devices_get_few_operators_and_little_memory(name, ties, monkeypatch):
    """At most 200 and 40 bytes an element, on a device without memory, which is not the CPU."""
    monkeypatch.setattr(_drop_blocks, "masked_affine", reference.masked_affine)  # count within it
    function, *args = COSTS[name]
    with Memory(*(a for a in args if isinstance(a, torch.Tensor))) as cost:
        function(*args)
    assert cost.calls <= 200
    assert cost.most <= 40 * N


@pytest.mark.integration
@pytest.mark.parametrize(
    ("threads", "calls", "bytes_each"), [(1, 2700, 4.5), (2, 10100, 4.2)], ids=["1 thread", "2"]
)
def test_the_cpu_gets_little_memory_and_small_operators(threads, calls, bytes_each, monkeypatch):
    """What docs/gpu.md says: these are larger and fewer where no thread waits for another."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x = torch.ones(N)
    with Memory(x) as cost:
        draw(x)
    assert 0.9 * calls < cost.calls <= calls
    assert cost.most <= bytes_each * N


@pytest.fixture
def elsewhere(monkeypatch):
    """The CPU as if it were another device, with little memory: parts of parts."""
    for module in (_fill, reference):
        monkeypatch.setattr(module, "is_cpu", lambda device: False)
    monkeypatch.setattr(_fill, "_LARGE", 9_000)


STRIDES = [[300, 1], [304, 1], [8191, 1], [1, 120], [0, 1], [3, 0], [2, 600], [-300, -1]]
STRIDES += [[7001, 17]]


def results():
    """The results of each operator: runs, shards, shared and reordered masks, keys of samples."""
    x = torch.randn(120, 300, generator=torch.Generator().manual_seed(1))
    keys = torch.stack([Key(2**64 - 1 - s, 2**60 - 1 - s).tensor() for s in range(3)])
    found = []
    for strides in STRIDES:
        for base in (3, 2**35 - 2000, -5):
            place = base, strides
            found += [
                reference.masked_affine(x, KEY, 0.3, 1.1, 0.5, -1.0, *place),
                reference.masked_affine(x.bfloat16(), KEY, 0.3, 1.1, 0.0, 0.0, *place),
                reference.masked_affine(x.view(3, 40, 300), keys, 0.3, 1.1, 0.0, 0.0, *place),
                reference.masked_affine(x.to(torch.cfloat), KEY, 0.3, 1.1, 0.0, 0.0, *place),
                reference.masked_by_rates(x, KEY, x.sigmoid().double(), True, *place),
                reference.keep_bits(KEY, x.shape, 1 - 2**-20, *place, x.device).float(),
                add.dropout_add_backward(x, KEY, torch.float16, True, 0.3, 1.1, *place)[1],
                *(noise.noise_affine(x, KEY, law, 0.5, 0.2, *place) for law in Law),
            ]
            if strides[0] != 0:  # the places of a group are not shared
                groups = (2, 4), (8, 20)
                found += [counted.counted_affine(x, KEY, *g, -2, 1.1, *place) for g in groups]
    return found


@pytest.mark.integration
def test_other_devices_have_the_bits_of_the_cpu(request):
    with backends.use("reference"):
        known = results()
        request.getfixturevalue("elsewhere")
        assert all(map(same_bits, results(), known))
