//! Relay connections over the read models' pages: opaque keyset cursors, so that what is added meanwhile moves nothing.

use std::sync::Arc;

use async_graphql::connection::{Connection, CursorType, Edge, EmptyFields};
use async_graphql::{Error, Object, OutputType, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use projections::{Order, Page, PageRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::coded;
use crate::code::Code;

const USUAL: u32 = 25;
const MOST: u32 = 100;

/// A key as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor of a key.
    pub fn of<Key: Serialize>(key: &Key) -> Self {
        // Numbers, texts and ids: always JSON.
        Self(URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default()))
    }

    /// The key of a cursor that was given out before.
    pub fn key<Key: DeserializeOwned>(text: &str) -> Result<Key> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        key.ok_or_else(|| coded(Code::InvalidCursor, "this is no cursor of this list; use one that it gave out"))
    }
}

impl CursorType for Cursor {
    type Error = std::convert::Infallible;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        Ok(Self(text.to_owned()))
    }

    fn encode_cursor(&self) -> String {
        self.0.clone()
    }
}

/// Which part of a list is asked for: `first` and `after`, or `last` and `before`.
#[derive(Debug, Default)]
pub struct PageArguments {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

/// The same, checked.
#[derive(Debug, Clone)]
pub struct Asked<Key> {
    pub page: PageRequest<Key>,
    /// Counted from the list's end; what is read is turned round.
    backwards: bool,
}

impl PageArguments {
    /// Checks the arguments for a list whose first item is at the end that `order` begins with.
    pub fn check<Key: DeserializeOwned>(&self, order: Order) -> Result<Asked<Key>> {
        let invalid = |message: &str| coded(Code::InvalidPage, message);
        let (count, cursor, backwards) = match (self.first, &self.after, self.last, &self.before) {
            (first, after, None, None) => (first, after, false),
            (None, None, last, before) => (last, before, true),
            _ => return Err(invalid("give first and after, or last and before")),
        };
        let limit = match count {
            None => USUAL,
            Some(count) => u32::try_from(count)
                .ok()
                .filter(|count| (1..=MOST).contains(count))
                .ok_or_else(|| invalid("a page has 1 to 100 items"))?,
        };
        let order = match (order, backwards) {
            (order, false) => order,
            (Order::OldestFirst, true) => Order::NewestFirst,
            (Order::NewestFirst, true) => Order::OldestFirst,
        };
        let after = cursor.as_deref().map(Cursor::key).transpose()?;
        Ok(Asked { page: PageRequest { after, limit, order }, backwards })
    }
}

impl<Key: Copy> Asked<Key> {
    /// The same page by a key that the cursor's contains.
    pub fn by_key<Other>(&self, other: impl Fn(Key) -> Other) -> PageRequest<Other> {
        let PageRequest { after, limit, order } = self.page;
        PageRequest { after: after.map(other), limit, order }
    }
}

impl<Key> Asked<Key> {
    /// The connection of a page, read in the order that was asked for.
    pub fn connection<Item, Node>(
        &self,
        page: Page<Item>,
        key: impl Fn(&Item) -> Cursor,
        node: impl Fn(Item) -> Node,
        total: TotalCount,
    ) -> List<Node>
    where
        Node: OutputType,
    {
        // The list goes on towards where it was read to, and, behind the cursor that was given, where it came from.
        let came_from = self.page.after.is_some();
        let (previous, next) = if self.backwards { (page.has_more, came_from) } else { (came_from, page.has_more) };
        let mut list = Connection::with_additional_fields(previous, next, total);
        list.edges = page.items.into_iter().map(|item| Edge::new(key(&item), node(item))).collect();
        if self.backwards {
            list.edges.reverse();
        }
        list
    }
}

/// A connection of ours.
pub type List<Node> = Connection<Cursor, Node, TotalCount, EmptyFields>;

type Count = dyn Fn() -> BoxFuture<'static, Result<Option<i64>, Error>> + Send + Sync;

/// Counts a list, if it is asked for.
#[derive(Clone)]
pub struct TotalCount(Option<Arc<Count>>);

impl TotalCount {
    /// A list that is too long to be counted.
    pub const fn unknown() -> Self {
        Self(None)
    }

    /// A list that `count` counts.
    pub fn by<Counting>(count: impl Fn() -> Counting + Send + Sync + 'static) -> Self
    where
        Counting: Future<Output = Result<i64, Error>> + Send + 'static,
    {
        Self(Some(Arc::new(move || {
            let counting = count();
            Box::pin(async move { counting.await.map(Some) })
        })))
    }
}

#[Object]
impl TotalCount {
    /// How many items the whole list has; counted only when asked for, and null where that would take too long.
    async fn total_count(&self) -> Result<Option<i32>> {
        match &self.0 {
            Some(count) => Ok(count().await?.map(|count| i32::try_from(count).unwrap_or(i32::MAX))),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(first: Option<i32>, last: Option<i32>) -> PageArguments {
        PageArguments { first, last, ..PageArguments::default() }
    }

    #[test]
    fn pages_have_a_usual_and_a_greatest_length() {
        let usual = arguments(None, None).check::<i64>(Order::NewestFirst).unwrap();
        assert_eq!(usual.page, PageRequest::first(25, Order::NewestFirst));
        assert!(arguments(Some(100), None).check::<i64>(Order::NewestFirst).is_ok());
        for wrong in [arguments(Some(0), None), arguments(Some(101), None), arguments(Some(-1), None)] {
            assert!(wrong.check::<i64>(Order::NewestFirst).is_err());
        }
        assert!(arguments(Some(1), Some(1)).check::<i64>(Order::NewestFirst).is_err());
    }

    #[test]
    fn last_reads_from_the_other_end_and_turns_the_page_round() {
        let asked = arguments(None, Some(2)).check::<i64>(Order::NewestFirst).unwrap();
        assert_eq!(asked.page.order, Order::OldestFirst);
        let page = Page { items: vec![1_i64, 2], has_more: true };
        let list = asked.connection(page, Cursor::of, |item| item, TotalCount::unknown());
        assert_eq!(list.edges.iter().map(|edge| edge.node).collect::<Vec<_>>(), [2, 1]);
        assert!(list.has_previous_page && !list.has_next_page);
    }

    #[test]
    fn cursors_read_back_and_others_are_refused() {
        let cursor = Cursor::of(&(7_i64, "name"));
        assert_eq!(Cursor::key::<(i64, String)>(&cursor.0).unwrap(), (7, "name".to_owned()));
        assert!(Cursor::key::<i64>(&cursor.0).is_err());
        assert!(Cursor::key::<i64>("%%%").is_err());
    }
}
