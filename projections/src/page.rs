//! Pages of lists. A page starts after a key, never at an offset, so that what is added meanwhile moves nothing.

/// The most items of one page.
pub const LONGEST_PAGE: u32 = 500;

/// Which end of a list comes first. The other one reads pages backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

impl Order {
    pub(crate) const fn keyword(self) -> &'static str {
        match self {
            Self::OldestFirst => "ASC",
            Self::NewestFirst => "DESC",
        }
    }

    pub(crate) const fn beyond(self) -> &'static str {
        match self {
            Self::OldestFirst => ">",
            Self::NewestFirst => "<",
        }
    }
}

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest<Key> {
    /// The last key that is known; `None` for the first page.
    pub after: Option<Key>,
    pub limit: u32,
    pub order: Order,
}

impl<Key> PageRequest<Key> {
    /// The first page in `order`.
    #[must_use]
    pub const fn first(limit: u32, order: Order) -> Self {
        Self { after: None, limit, order }
    }

    /// The page after `key` in `order`.
    #[must_use]
    pub const fn after(key: Key, limit: u32, order: Order) -> Self {
        Self { after: Some(key), limit, order }
    }

    fn items(&self) -> usize {
        self.limit.min(LONGEST_PAGE) as usize
    }

    /// One more than is shown tells whether there are more.
    pub(crate) fn fetched(&self) -> i64 {
        i64::from(self.limit.min(LONGEST_PAGE)) + 1
    }

    pub(crate) fn page<Item>(&self, mut items: Vec<Item>) -> Page<Item> {
        let has_more = items.len() > self.items();
        items.truncate(self.items());
        Page { items, has_more }
    }
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Item> {
    pub items: Vec<Item>,
    /// Whether the list goes on in the order that was asked for.
    pub has_more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_says_whether_the_list_goes_on() {
        let request = PageRequest::<i64>::first(2, Order::OldestFirst);
        assert_eq!(request.fetched(), 3);
        assert_eq!(request.page(vec![1, 2, 3]), Page { items: vec![1, 2], has_more: true });
        assert_eq!(request.page(vec![1, 2]), Page { items: vec![1, 2], has_more: false });
    }

    #[test]
    fn page_has_a_greatest_length() {
        let request = PageRequest::<i64>::first(u32::MAX, Order::NewestFirst);
        assert_eq!(request.fetched(), i64::from(LONGEST_PAGE) + 1);
    }
}
