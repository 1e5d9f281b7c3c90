"""A whole model by one key: where it draws, and the scope that gives each draw its key."""

from ...functional._part import Axis as Axis
from ._given import Call as Call
from ._keyed import keyed as keyed
from ._places import Site as Site
from ._places import Sites as Sites
from ._places import find_sites as find_sites
from ._trial import tried as _tried  # noqa: F401 - it gives probes their trial
from ._watch import Place as Place
from ._watch import SiteId as SiteId
