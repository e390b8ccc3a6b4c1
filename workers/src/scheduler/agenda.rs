//! Which campaign has something to decide when: in memory, in the order of time.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use domain::ids::{BotId, CampaignId};

/// When a campaign has something to decide. Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Appointment {
    pub(super) at: DateTime<Utc>,
    pub(super) bot_id: BotId,
    pub(super) campaign_id: CampaignId,
}

/// One appointment for each campaign.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    in_order: BTreeSet<Appointment>,
    of_bot: HashMap<BotId, HashMap<CampaignId, DateTime<Utc>>>,
}

impl Agenda {
    /// Puts an appointment in the place of the campaign's last one.
    pub(super) fn put(&mut self, appointment: Appointment) {
        let Appointment { at, bot_id, campaign_id } = appointment;
        if let Some(before) = self.of_bot.entry(bot_id).or_default().insert(campaign_id, at) {
            self.in_order.remove(&Appointment { at: before, ..appointment });
        }
        self.in_order.insert(appointment);
    }

    pub(super) fn remove(&mut self, appointment: &Appointment) {
        if self.in_order.remove(appointment)
            && let Some(campaigns) = self.of_bot.get_mut(&appointment.bot_id)
        {
            campaigns.remove(&appointment.campaign_id);
        }
    }

    /// Forgets everything of a bot.
    pub(super) fn forget(&mut self, bot_id: BotId) {
        for (campaign_id, at) in self.of_bot.remove(&bot_id).unwrap_or_default() {
            self.in_order.remove(&Appointment { at, bot_id, campaign_id });
        }
    }

    /// Keeps only the bots that `keeps` says.
    pub(super) fn retain(&mut self, keeps: impl Fn(BotId) -> bool) {
        let gone: Vec<BotId> = self.of_bot.keys().copied().filter(|bot_id| !keeps(*bot_id)).collect();
        for bot_id in gone {
            self.forget(bot_id);
        }
    }

    /// What has come until `now`; it stays until it is removed or replaced.
    pub(super) fn due(&self, now: DateTime<Utc>) -> Vec<Appointment> {
        self.in_order.iter().take_while(|appointment| appointment.at <= now).copied().collect()
    }

    /// The time of the first.
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.in_order.first().map(|appointment| appointment.at)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    fn appointment(bot: u128, campaign: u128, minute: i64) -> Appointment {
        Appointment {
            at: DateTime::UNIX_EPOCH + TimeDelta::minutes(minute),
            bot_id: BotId::from_uuid(Uuid::from_u128(bot)),
            campaign_id: CampaignId::from_uuid(Uuid::from_u128(campaign)),
        }
    }

    #[test]
    fn a_campaign_has_one_appointment_and_the_first_comes_first() {
        let mut agenda = Agenda::default();
        for (campaign, minute) in [(1, 30), (2, 20), (1, 10)] {
            agenda.put(appointment(7, campaign, minute));
        }
        let (first, second) = (appointment(7, 1, 10), appointment(7, 2, 20));
        assert_eq!(agenda.next(), Some(first.at));
        assert_eq!(agenda.due(appointment(7, 1, 15).at), [first]);
        assert_eq!(agenda.due(appointment(7, 1, 40).at), [first, second]);
        agenda.remove(&first);
        assert_eq!(agenda.next(), Some(second.at));
    }

    #[test]
    fn what_is_forgotten_does_not_come() {
        let mut agenda = Agenda::default();
        for bot in 1..=3 {
            agenda.put(appointment(bot, bot, 10));
        }
        agenda.forget(appointment(1, 1, 0).bot_id);
        agenda.retain(|bot_id| bot_id != appointment(2, 2, 0).bot_id);
        assert_eq!(agenda.due(appointment(1, 1, 60).at), [appointment(3, 3, 10)]);
    }
}
