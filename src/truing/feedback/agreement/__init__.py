"""Do people agree? Coefficients on ratings, and what they say of a file of feedback.

coefficients    percent agreement, Cohen's and Fleiss' kappa, Krippendorff's alpha, with intervals: pure mathematics
ratings         groups or columns of a table -> who said what of what
report, table   what the coefficients say of a file
"""

from truing.feedback.agreement.coefficients import (
    Coefficient,
    Level,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    percent_agreement,
)
from truing.feedback.agreement.ratings import Question, Ratings
from truing.feedback.agreement.report import Agreement, Report, agreement, of_question

__all__ = [
    "Agreement",
    "Coefficient",
    "Level",
    "Question",
    "Ratings",
    "Report",
    "agreement",
    "cohen_kappa",
    "fleiss_kappa",
    "krippendorff_alpha",
    "of_question",
    "percent_agreement",
]
