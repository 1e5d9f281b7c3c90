"""What a target may claim to be, and how each kind is presented as a plain dropout."""

from ..subject import PLAIN as PLAIN
from ..subject import Spec as Spec
from .blocks import Blocks as Blocks
from .composed import Attention as Attention
from .composed import Between as Between
from .composed import Fused as Fused
from .composed import expected as expected
from .counted import Counted as Counted
from .effect import Alpha as Alpha
from .effect import Noise as Noise
from .effect import Scaled as Scaled
from .elementwise import Elementwise as Elementwise
from .names import SPECS as SPECS
from .names import infer as infer
from .names import parse as parse
from .weights import Weights as Weights
