"""Which Plans a site's Policy may approve by itself. Pure; whatever it does not cover waits for a steward.

Never code: nobody has read it. Never what needs a release decision: only people can make that. Never where the Policy
wants two stewards: a site that wants four eyes for a yes has not given that yes to a rule, and one signature cannot
stand for two people. Never for a site met for the first time: its key is trusted from then on, and a person should
have compared it. Never a second exact question about a Dataset: the difference of two exact answers, over other
patients, sites or another grid, can be an answer about one patient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from synthema_core.analyses.base import Analysis
from synthema_core.code.questions import CodeQuestion
from synthema_core.plan import Plan
from synthema_core.policy import DatasetPolicy
from synthema_core.staged import is_staged


def why_a_steward(
    plan: Plan, analysis: Analysis, limits: DatasetPolicy, *, known: Collection[str], exact_before: Iterable[str]
) -> str:
    """The sentence that says why a person must decide; empty if the Policy may approve.

    Parameters
    ----------
    plan, analysis
        Admitted by all of the site's other rules.
    known
        The sites whose identity keys this one knows, itself included.
    exact_before
        Question digests of the exact Plans about this Dataset that were ever approved here; read only if needed.
    """
    if isinstance(analysis, CodeQuestion):
        return "It is code."
    if is_staged(plan.analysis):
        return "What it puts out needs a release decision."
    if plan.analysis not in limits.auto_approve:
        return "The policy does not approve this analysis by itself."
    if limits.stewards > 1:
        return "The policy asks for more than one steward."
    if not set(plan.sites) <= set(known):
        return "It names a site that this one has not met."
    if plan.privacy is not None:
        cheap = plan.privacy.epsilon <= limits.auto_epsilon
        return "" if cheap else "It costs more than the policy approves by itself."
    if any(question != plan.question_digest for question in exact_before):
        return "There is another exact answer about this dataset: the two could be subtracted."
    return ""
