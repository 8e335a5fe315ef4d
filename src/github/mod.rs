//! What trimtab does on GitHub: which run this is, the one comment on a pull request, the plan that was reviewed there, and the
//! one issue about drift.
//!
//! Decisions are pure functions over what GitHub lists; the few calls around them are made by [`post_comment`],
//! [`find_reviewed_plan`] and [`update_drift_issue`]. A comment or an issue that cannot be written never fails a plan.

mod comment;
mod drift_issue;
mod mark;
mod reviewed;
mod run;

pub use comment::{CommentOutcome, post_comment};
pub use drift_issue::{DriftReport, IssueOutcome, update_drift_issue};
pub use mark::{CommentMark, MarkKind};
pub use reviewed::{ReviewedPlan, find_reviewed_plan};
pub use run::{GitHubRun, PullRequestContext, WhyNoComment, run_url};
