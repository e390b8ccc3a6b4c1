//! What campaigns do to people, stories and posts of every source: whom they act on, and whom they leave alone and why.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use domain::bot::{BotCommand, BotEvent, BotState, Mode};
use domain::campaign::{Draft, DraftFilters, DraftSource, HashtagTab, Module};
use domain::ids::JobId;
use serde_json::Value;
use workers::platform::{Gateway, Platform, SessionId, UserPk};

use super::scene::{ACCOUNT, HASHTAG, User, World, until};
use crate::platform::support::{call, client, log_in};

/// Somebody who looks at the platform beside the account.
struct Onlooker {
    gateway: Gateway,
    session: SessionId,
}

impl Onlooker {
    async fn of(world: &World, account: &str) -> Self {
        let gateway = client(&world.sandbox.url());
        let session = log_in(&gateway, account).await;
        Self { gateway, session }
    }

    async fn number(&self, account: &str) -> UserPk {
        self.gateway.user_by_name(call(), &self.session, account).await.expect("a person").pk
    }

    async fn write(&self, to: &UserPk, text: &str) {
        self.gateway.send_direct_message(call(), &self.session, to, text).await.expect("it is sent");
    }

    async fn follow(&self, user: &UserPk) {
        self.gateway.follow(call(), &self.session, user).await.expect("it is taken");
    }
}

impl World {
    /// Public people with their numbers, of whom nothing else is known.
    async fn public_people(&self, onlooker: &Onlooker, count: usize) -> Vec<(String, UserPk)> {
        let mut people = Vec::new();
        for name in self.accounts().await {
            let user = onlooker.gateway.user_by_name(call(), &onlooker.session, &name).await.expect("a person");
            if user.is_private == Some(false) {
                people.push((name, user.pk));
            }
            if people.len() == count {
                break;
            }
        }
        people
    }
}

/// Runs the campaign once in earnest, and gives what its run came to.
async fn run(world: &World, user: &User<'_>, draft: Draft) -> Value {
    let campaign = user.define(draft).await;
    let runs = user.count("RunFinished").await;
    user.verify().await;
    user.enable_at(campaign, Mode::Live, world.now() - TimeDelta::days(8)).await;
    world.clock.set_speed(3_600.0);
    until("the end of the run", || async { (user.count("RunFinished").await > runs).then_some(()) }).await;
    world.clock.set_speed(1.0);
    let events = user.events().await;
    let started = events.iter().rev().find_map(|event| match event {
        BotEvent::RunStarted { run_id, .. } => Some(JobId::from_uuid(run_id.uuid())),
        _ => None,
    });
    let job = started.expect("a run began");
    until("the end of the job", || async { world.is_over(job).await.then_some(()) }).await;
    let report = world.history(job).await.pop().expect("it has a history").payload["result"].take();
    user.tell(BotCommand::DisableAutomation { reason: "next".to_owned(), at: world.now() }).await;
    user.reaches(BotState::LoggedIn).await;
    world.projected().await;
    report
}

fn list(people: &[&UserPk]) -> DraftSource {
    DraftSource::List { people: people.iter().map(ToString::to_string).collect() }
}

fn targets(user: &User<'_>, kind: &str) -> BTreeSet<String> {
    user.effects().into_iter().filter(|entry| entry.kind == kind).map(|entry| entry.target).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_of_a_person_are_followed_and_unfollowed_when_they_do_not_follow_back() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    let followers = DraftSource::Followers { of: "busy.account".to_owned() };
    let filters = DraftFilters { private: Some(false), ..DraftFilters::default() };
    let draft = Draft { filters, ..Draft::new("follow", Module::Follow, followers, 2) };
    let report = run(&world, &user, draft).await;
    let followed = targets(&user, "FOLLOW");
    assert_eq!((followed.len(), &report["performed"]), (2, &Value::from(2)), "{report}");

    let unfollow = || Draft::new("unfollow", Module::Unfollow, DraftSource::Followed, 5);
    let report = run(&world, &user, unfollow()).await;
    assert_eq!((&report["performed"], targets(&user, "UNFOLLOW").len()), (&Value::from(0), 0), "{report}");

    let friend: UserPk = followed.first().expect("one").parse().expect("a number");
    let onlooker = Onlooker::of(&world, ACCOUNT).await;
    let friend_name = onlooker.gateway.user(call(), &onlooker.session, &friend).await.expect("a person").username;
    let own = onlooker.number(ACCOUNT).await;
    Onlooker::of(&world, &friend_name).await.follow(&own).await;
    world.clock.advance(TimeDelta::days(15));
    let report = run(&world, &user, unfollow()).await;
    assert_eq!(report["skipped"]["FOLLOWS_BACK"], 1, "{report}");
    let unfollowed = targets(&user, "UNFOLLOW");
    assert_eq!(unfollowed.len(), 1, "{report}");
    assert!(unfollowed.is_subset(&followed) && !unfollowed.contains(friend.as_str()));
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_to_whoever_is_open_to_them_and_a_stop_word_ends_it_for_ever() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    let onlooker = Onlooker::of(&world, "busy.account").await;
    let own = onlooker.number(ACCOUNT).await;
    let people = world.public_people(&onlooker, 12).await;
    let mut strangers = Vec::new();
    for (name, pk) in people {
        let other = Onlooker::of(&world, &name).await;
        let friendship = other.gateway.friendship(call(), &other.session, &own).await.expect("it reads");
        if !friendship.following {
            strangers.push((other, pk));
        }
    }
    let [follower, writer, stranger, tired] = &strangers[..4] else { panic!("a world of strangers") };
    follower.0.follow(&own).await;
    writer.0.write(&own, "Where was this?").await;
    tired.0.write(&own, "Please stop!").await;
    let everybody = [&follower.1, &writer.1, &stranger.1, &tired.1];
    let dm = || Draft {
        text: Some("{Hi|Hello} {first_name?there}, {username}".to_owned()),
        ..Draft::new("write", Module::Dm, list(&everybody), 4)
    };
    let report = run(&world, &user, dm()).await;
    let expected: BTreeSet<String> = [&follower.1, &writer.1].iter().map(ToString::to_string).collect();
    assert_eq!(targets(&user, "DIRECT_MESSAGE"), expected, "{report}");
    assert_eq!(report["skipped"]["NOT_OPEN_TO_MESSAGES"], 1, "{report}");
    assert_eq!(report["skipped"]["SAID_STOP"], 1, "{report}");
    assert!(user.bot().await.has_stopped(tired.1.as_str()));

    // Nothing else is done to them either, and nobody is written to twice.
    let report = run(&world, &user, dm()).await;
    assert_eq!(report["skipped"]["CONTACT_STOPPED"], 1, "{report}");
    assert_eq!(report["skipped"]["ACTED_BEFORE"], 2, "{report}");
    let report = run(&world, &user, Draft::new("like", Module::Like, list(&[&tired.1]), 4)).await;
    assert_eq!((&report["skipped"]["CONTACT_STOPPED"], &report["performed"]), (&Value::from(1), &Value::from(0)));
    assert_eq!(user.writes().len(), 2);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stories_are_seen_and_liked_and_whoever_has_none_is_left_alone() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    let onlooker = Onlooker::of(&world, "busy.account").await;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (_, pk) in world.public_people(&onlooker, 20).await {
        let stories = onlooker.gateway.user_stories(call(), &onlooker.session, &pk).await.expect("it reads");
        if stories.is_empty() { without.push(pk) } else { with.push(pk) }
    }
    let people = [&with[0], &with[1], &without[0]];
    let report = run(&world, &user, Draft::new("see", Module::StorySee, list(&people), 5)).await;
    assert_eq!((targets(&user, "STORY_SEEN").len(), &report["skipped"]["NO_STORY"]), (2, &Value::from(1)), "{report}");
    let report = run(&world, &user, Draft::new("like", Module::StoryLike, list(&people), 5)).await;
    assert_eq!((targets(&user, "STORY_LIKE").len(), &report["performed"]), (2, &Value::from(2)), "{report}");
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_look_at_pages_and_people_are_met_once() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    let tagged = || DraftSource::Hashtag { name: HASHTAG.to_owned(), tab: HashtagTab::Recent };
    let met = Some(domain::campaign::Met { again_after_days: None });
    let filters = || DraftFilters { least_posts: Some(3), business: Some(false), met, ..DraftFilters::default() };
    let like = || Draft { filters: filters(), ..Draft::new("like", Module::Like, tagged(), 3) };
    let report = run(&world, &user, like()).await;
    assert_eq!(report["performed"], 3, "{report}");
    assert!(user.requests("GET /user").await >= 3);
    let first: BTreeSet<String> = owners(&user);
    assert_eq!(first.len(), 3);
    let report = run(&world, &user, like()).await;
    assert!(report["skipped"]["ALREADY_MET"].as_u64().unwrap_or(0) > 0, "{report}");
    assert_eq!(owners(&user).len(), 6);
    workers.stop().await;
}

/// Whose posts were liked.
fn owners(user: &User<'_>) -> BTreeSet<String> {
    user.effects().into_iter().filter(|entry| entry.kind == "LIKE").map(|entry| entry.target).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comments_say_what_their_template_says() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    let place = DraftSource::Place { query: "Lisbon".to_owned(), tab: HashtagTab::Top };
    let text = Some("{Lovely|Nice}, {username}!".to_owned());
    let report = run(&world, &user, Draft { text, ..Draft::new("comment", Module::Comment, place, 2) }).await;
    let comments: Vec<_> = user.effects().into_iter().filter(|entry| entry.kind == "COMMENT").collect();
    assert_eq!((comments.len(), &report["performed"]), (2, &Value::from(2)), "{report}");
    workers.stop().await;
}
