//! Small workflows, written as what they ask for: the code that a history was recorded with, and the code of today.

use std::time::Duration;

use domain::job::RetryPolicy;
use futures_util::future::BoxFuture;
use serde_json::Value;
use workers::job::replay::Expected;
use workers::job::{Context, StepError, Workflow, WorkflowError};

/// What a workflow asks its context for.
#[derive(Debug, Clone, Copy)]
pub enum Ask {
    Step(&'static str),
    /// A step with side effects.
    Effect(&'static str),
    /// A step that fails for good; the workflow goes on.
    Fails(&'static str),
    Sleep,
    Signal(&'static str),
    Child(&'static str),
    /// Asks for the patch; the first list with it, else the second.
    Patched(&'static str, &'static [Ask], &'static [Ask]),
    /// Names a step after the time of day and a random number: the same in every replay.
    Moment,
    /// On cancellation, cleans up with this step.
    SleepOrUndo(&'static str),
}
use Ask::{Child, Effect, Fails, Moment, Patched, Signal, Sleep, SleepOrUndo, Step};

/// One history and what today's code makes of it.
pub struct Case {
    /// Also the workflow's name, which is stored in the history.
    pub name: &'static str,
    pub shows: &'static str,
    pub recorded: &'static [Ask],
    pub today: &'static [Ask],
    /// How the recording ends.
    pub until: Until,
    pub expect: Expected,
}

/// How a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Complete,
    /// At the first wait.
    Waits,
    /// It is cancelled at the first wait, and cleans up.
    Cancelled,
    /// At the first wait it is paused.
    Paused,
    /// It is complete, and then reset to the index.
    ResetTo(u32),
}

const PAIR: &[Ask] = &[Step("find"), Sleep, Effect("write"), Step("report")];

/// Every case.
pub const CASES: &[Case] = &[
    Case {
        name: "unchanged",
        shows: "The code that recorded it: steps, an effect, a failure, a sleep, a signal and a child.",
        recorded: &[
            Step("find"),
            Fails("look"),
            Sleep,
            Signal("approved"),
            Child("small_child"),
            Effect("write"),
            Moment,
        ],
        today: &[Step("find"), Fails("look"), Sleep, Signal("approved"), Child("small_child"), Effect("write"), Moment],
        until: Until::Complete,
        expect: Expected::Complete,
    },
    Case {
        name: "renamed_step",
        shows: "A step got another name.",
        recorded: PAIR,
        today: &[Step("search"), Sleep, Effect("write"), Step("report")],
        until: Until::Complete,
        expect: Expected::PartsAt(0),
    },
    Case {
        name: "swapped_order",
        shows: "Two requests changed their places.",
        recorded: PAIR,
        today: &[Step("find"), Sleep, Step("report"), Effect("write")],
        until: Until::Complete,
        expect: Expected::PartsAt(2),
    },
    Case {
        name: "removed_step",
        shows: "A step in the middle is gone.",
        recorded: PAIR,
        today: &[Step("find"), Sleep, Step("report")],
        until: Until::Complete,
        expect: Expected::PartsAt(2),
    },
    Case {
        name: "removed_last_step",
        shows: "The last step is gone, so that the history goes on after the code has ended.",
        recorded: PAIR,
        today: &[Step("find"), Sleep, Effect("write")],
        until: Until::Complete,
        expect: Expected::PartsAt(3),
    },
    Case {
        name: "step_added_before_the_end",
        shows: "A step was added at the end of a history that is over.",
        recorded: PAIR,
        today: &[Step("find"), Sleep, Effect("write"), Step("report"), Step("tidy")],
        until: Until::Complete,
        expect: Expected::PartsAt(4),
    },
    Case {
        name: "step_added_after_the_edge",
        shows: "A step was added where the open history has not come to: that is no divergence.",
        recorded: PAIR,
        today: &[Step("find"), Sleep, Step("tidy"), Effect("write"), Step("report")],
        until: Until::Waits,
        expect: Expected::Open,
    },
    Case {
        name: "changed_child",
        shows: "Another workflow is started as the child.",
        recorded: &[Step("find"), Child("small_child"), Step("report")],
        today: &[Step("find"), Child("other_child"), Step("report")],
        until: Until::Complete,
        expect: Expected::PartsAt(1),
    },
    Case {
        name: "sleep_instead_of_a_step",
        shows: "Where a step was the code sleeps now.",
        recorded: &[Step("find"), Step("wait"), Effect("write")],
        today: &[Step("find"), Sleep, Effect("write")],
        until: Until::Complete,
        expect: Expected::PartsAt(1),
    },
    Case {
        name: "changed_signal",
        shows: "The code waits for a signal of another name.",
        recorded: &[Step("find"), Signal("approved"), Effect("write")],
        today: &[Step("find"), Signal("accepted"), Effect("write")],
        until: Until::Waits,
        expect: Expected::PartsAt(1),
    },
    Case {
        name: "patched",
        shows: "The change is behind a patch that the history is from before of: the old path is taken.",
        recorded: PAIR,
        today: &[
            Step("find"),
            Sleep,
            Patched("write-twice", &[Effect("write"), Effect("again")], &[Effect("write")]),
            Step("report"),
        ],
        until: Until::Complete,
        expect: Expected::Complete,
    },
    Case {
        name: "patch_in_the_history",
        shows: "The history has the mark of the patch: the new path is taken.",
        recorded: &[
            Step("find"),
            Patched("write-twice", &[Effect("write"), Effect("again")], &[Effect("write")]),
            Step("report"),
        ],
        today: &[
            Step("find"),
            Patched("write-twice", &[Effect("write"), Effect("again")], &[Effect("write")]),
            Step("report"),
        ],
        until: Until::Complete,
        expect: Expected::Complete,
    },
    Case {
        name: "patch_taken_out_too_early",
        shows: "The patch is not asked for any more, and the history has its mark.",
        recorded: &[
            Step("find"),
            Patched("write-twice", &[Effect("write"), Effect("again")], &[Effect("write")]),
            Step("report"),
        ],
        today: &[Step("find"), Effect("write"), Effect("again"), Step("report")],
        until: Until::Complete,
        expect: Expected::PartsAt(1),
    },
    Case {
        name: "cancelled_with_cleanup",
        shows: "A job that was cancelled in its sleep and cleaned up.",
        recorded: &[Effect("write"), SleepOrUndo("undo"), Step("report")],
        today: &[Effect("write"), SleepOrUndo("undo"), Step("report")],
        until: Until::Cancelled,
        expect: Expected::Complete,
    },
    Case {
        name: "changed_cleanup",
        shows: "The step that cleans up got another name.",
        recorded: &[Effect("write"), SleepOrUndo("undo"), Step("report")],
        today: &[Effect("write"), SleepOrUndo("take_back"), Step("report")],
        until: Until::Cancelled,
        expect: Expected::PartsAt(2),
    },
    Case {
        name: "paused_in_its_sleep",
        shows: "A job that is paused while it sleeps; it is replayed as if it went on.",
        recorded: PAIR,
        today: PAIR,
        until: Until::Paused,
        expect: Expected::Open,
    },
    Case {
        name: "reset_before_the_change",
        shows: "The job was set back to before the change, so what parted counts no more.",
        recorded: PAIR,
        today: &[Step("find"), Sleep, Effect("send"), Step("report")],
        until: Until::ResetTo(2),
        expect: Expected::Open,
    },
];

/// The workflow of `name` that asks for `asks`.
pub fn workflow(name: &'static str, asks: &'static [Ask]) -> Workflow {
    Workflow::new(name, move |ctx: Context, (): ()| async move { all(ctx, asks).await })
}

/// The children that the cases start.
pub fn children() -> [Workflow; 2] {
    ["small_child", "other_child"].map(|name| workflow(name, &[Step("work")]))
}

async fn all(ctx: Context, asks: &'static [Ask]) -> Result<(), WorkflowError> {
    for ask in asks {
        one(&ctx, *ask).await?;
    }
    Ok(())
}

fn one(ctx: &Context, ask: Ask) -> BoxFuture<'_, Result<(), WorkflowError>> {
    Box::pin(async move {
        let once = RetryPolicy::once();
        match ask {
            Step(name) => ctx.step(name, &once, |_| async { Ok(()) }).await?,
            Effect(name) => ctx.effect(name, &once, |_| async { Ok(()) }).await?,
            Fails(name) => {
                let failed: Result<(), _> =
                    ctx.step(name, &once, |_| async { Err(StepError::failed("NOT_THERE", "it was looked for")) }).await;
                if failed == Err(StepError::Cancelled) {
                    return Err(WorkflowError::Cancelled);
                }
            }
            Sleep => ctx.sleep(Duration::from_secs(60)).await?,
            Signal(name) => drop(ctx.signal::<Value>(name, None).await?),
            Child(name) => ctx.child(name, ()).await?,
            Patched(patch, with, without) => {
                let asks = if ctx.patched(patch).await { with } else { without };
                for ask in asks {
                    one(ctx, *ask).await?;
                }
            }
            Moment => {
                let name = format!("at {} with {:.6}", ctx.now().await.timestamp(), ctx.random());
                ctx.step(&name, &once, |_| async { Ok(()) }).await?;
            }
            SleepOrUndo(name) => {
                let slept = ctx.sleep(Duration::from_secs(60)).await;
                if slept == Err(StepError::Cancelled) {
                    ctx.cleanup().step(name, &once, |_| async { Ok(()) }).await?;
                }
                slept?;
            }
        }
        Ok(())
    })
}
