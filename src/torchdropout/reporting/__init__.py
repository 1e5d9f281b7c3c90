"""What the verifier and the audits share: rules, findings, settings, and how text is written.

Nothing here needs torch: `torchdropout-audit` contains a copy of this package.
"""
