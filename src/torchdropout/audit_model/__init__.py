"""The audit of a model: where dropout acts in a real forward pass, and what is wrong there.

The audit of sources is a distribution of its own, `torchdropout-audit`, which needs no torch.
"""

from .report import render_sites, render_sites_html_fragment
from .results import AuditedSite as AuditedSite
from .results import AuditedSites as AuditedSites
from .run import sites as sites

AuditedSites.text = render_sites
AuditedSites.html = render_sites_html_fragment
