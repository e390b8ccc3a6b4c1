//! Workflows by name.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::Context;
use super::error::WorkflowError;

type Run = dyn Fn(Context, Value) -> BoxFuture<'static, Result<Value, WorkflowError>> + Send + Sync;

/// One workflow: its name and its code.
#[derive(Clone)]
pub struct Workflow {
    name: &'static str,
    run: Arc<Run>,
}

impl Workflow {
    /// A workflow of `code`, which takes and gives JSON-shaped values. The name is stored and never changes.
    pub fn new<I, O, F, Fut>(name: &'static str, code: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + 'static,
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, WorkflowError>> + Send + 'static,
    {
        let code = Arc::new(code);
        let run = move |context: Context, input: Value| {
            let code = Arc::clone(&code);
            let boxed: BoxFuture<'static, Result<Value, WorkflowError>> = Box::pin(async move {
                let input = serde_json::from_value(input).map_err(|error| unreadable("input", &error))?;
                let output = code(context, input).await?;
                serde_json::to_value(output).map_err(|error| unreadable("result", &error))
            });
            boxed
        };
        Self { name, run: Arc::new(run) }
    }

    /// The stored name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn start(&self, context: Context, input: Value) -> BoxFuture<'static, Result<Value, WorkflowError>> {
        (self.run)(context, input)
    }
}

fn unreadable(what: &str, error: &serde_json::Error) -> WorkflowError {
    WorkflowError::Failed {
        code: "WORKFLOW_SHAPE".to_owned(),
        message: format!("the {what} does not have the workflow's shape: {error}"),
    }
}

/// The workflows that this version knows.
#[derive(Clone, Default)]
pub struct Registry(HashMap<&'static str, Workflow>);

impl Registry {
    /// Adds a workflow; of two with one name the later counts.
    #[must_use]
    pub fn with(mut self, workflow: Workflow) -> Self {
        self.0.insert(workflow.name(), workflow);
        self
    }

    /// Adds all of `others`; of two with one name theirs counts.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The workflow of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Workflow> {
        self.0.get(name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}
