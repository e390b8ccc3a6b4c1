//! Campaigns through the API: every source, module and filter, texts and their previews, and what is refused.

use serde_json::{Value, json};

use crate::support::TestApp;

fn campaign(module: &str, source: Value) -> Value {
    json!({ "name": "x", "module": module, "source": source, "maxTargets": 20 })
}

fn with(mut input: Value, more: Value) -> Value {
    if let (Some(input), Value::Object(more)) = (input.as_object_mut(), more) {
        input.extend(more);
    }
    input
}

const SOURCE: &str = "campaign { source {
    __typename
    ... on PlaceSource { query tab }
    ... on FollowersSource { of }
    ... on FollowingSource { of }
    ... on LikersSource { of }
    ... on ListSource { count people(first: 2, offset: 1) }
    ... on FollowedSource { unfollowAfterDays }
} }";

#[tokio::test(flavor = "multi_thread")]
async fn campaign_takes_its_targets_from_every_source() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let post = json!({ "likers": { "of": "https://www.instagram.com/p/BA/" } });
    let list = json!({ "list": { "people": ["@Ann", "42", "ann", "bob"] } });
    for (module, source, stored) in [
        (
            "STORY_SEE",
            json!({ "place": { "query": " Zermatt ", "tab": "TOP" } }),
            json!({ "__typename": "PlaceSource", "query": "Zermatt", "tab": "TOP" }),
        ),
        (
            "FOLLOW",
            json!({ "followers": { "of": "Alice" } }),
            json!({ "__typename": "FollowersSource", "of": "@alice" }),
        ),
        ("STORY_LIKE", json!({ "following": { "of": "42" } }), json!({ "__typename": "FollowingSource", "of": "42" })),
        ("LIKE", post, json!({ "__typename": "LikersSource", "of": "64" })),
        ("LIKE", list, json!({ "__typename": "ListSource", "count": 3, "people": ["42", "@bob"] })),
        ("UNFOLLOW", json!({ "followed": true }), json!({ "__typename": "FollowedSource", "unfollowAfterDays": 14 })),
    ] {
        let defined = person.client.done("defineCampaign", campaign(module, source), SOURCE).await;
        assert_eq!(defined["campaign"]["source"], stored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_texts_and_stop_words_are_kept_as_they_were_understood() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let filters = json!({
        "private": false, "hasPicture": true, "followers": { "least": 50 }, "ratio": { "most": 2.5 },
        "words": ["Climbing"], "blackList": ["Eve"], "met": { "againAfterDays": 90 },
    });
    let input = with(
        campaign("DM", json!({ "hashtag": { "name": "alps" } })),
        json!({ "filters": filters, "text": "{hi|hello} {first_name?you}, {username}", "stopWords": ["Nein danke"] }),
    );
    let fields = "campaign { id text stopWords filters { private verified hasPicture followers { least most }
        ratio { least most } words blackList whiteList met { againAfterDays } } }";
    let defined = person.client.done("defineCampaign", input.clone(), fields).await;
    assert_eq!(
        defined["campaign"]["filters"],
        json!({
            "private": false, "verified": null, "hasPicture": true, "followers": { "least": 50, "most": null },
            "ratio": { "least": null, "most": 2.5 }, "words": ["climbing"], "blackList": ["@eve"], "whiteList": [],
            "met": { "againAfterDays": 90 },
        })
    );
    assert_eq!(defined["campaign"]["stopWords"], json!(["nein danke"]));
    let id = defined["campaign"]["id"].clone();
    let revised = with(input, json!({ "campaignId": id, "filters": null }));
    let revised = person.client.done("reviseCampaign", revised, fields).await;
    assert_eq!(revised["campaign"]["filters"]["private"], Value::Null);
    assert_eq!(revised["campaign"]["text"], "{hi|hello} {first_name?you}, {username}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused_with_its_code_and_field_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let tag = json!({ "hashtag": { "name": "alps" } });
    let filtered = |filters: Value| with(campaign("LIKE", tag.clone()), json!({ "filters": filters }));
    let said = |module: &str, text: Value| with(campaign(module, tag.clone()), json!({ "text": text }));
    let listed = |people: Value| campaign("LIKE", json!({ "list": { "people": people } }));
    let long: Vec<String> = (0..10_001).map(|number| format!("u{number}")).collect();
    let large: Vec<String> = (0..7_000).map(|number| format!("somebody_with_a_long_name{number}")).collect();
    for (input, code, path) in [
        (campaign("LIKE", json!({ "place": { "query": " " } })), "CAMPAIGN_INVALID_PLACE", "source.place.query"),
        (campaign("LIKE", json!({ "followers": { "of": "a b" } })), "CAMPAIGN_INVALID_PERSON", "source.followers.of"),
        (campaign("LIKE", json!({ "likers": { "of": "p/x" } })), "CAMPAIGN_INVALID_POST", "source.likers.of"),
        (campaign("UNFOLLOW", tag.clone()), "CAMPAIGN_SOURCE_NOT_FOR_MODULE", "source"),
        (campaign("FOLLOW", json!({ "followed": true })), "CAMPAIGN_SOURCE_NOT_FOR_MODULE", "source"),
        (listed(json!([])), "CAMPAIGN_LIST_EMPTY", "source.list.people"),
        (listed(json!(["ann", "no body"])), "CAMPAIGN_INVALID_PERSON", "source.list.people.1"),
        (listed(json!(long)), "CAMPAIGN_LIST_TOO_LONG", "source.list.people"),
        (listed(json!(large)), "CAMPAIGN_LIST_TOO_LARGE", "source.list.people"),
        (filtered(json!({ "followers": { "least": 2, "most": 1 } })), "CAMPAIGN_INVALID_FILTER", "filters.followers"),
        (filtered(json!({ "met": { "againAfterDays": 0 } })), "CAMPAIGN_INVALID_FILTER", "filters.met.againAfterDays"),
        (filtered(json!({ "words": [""] })), "CAMPAIGN_INVALID_WORDS", "filters.words.0"),
        (filtered(json!({ "whiteList": ["ann", "?"] })), "CAMPAIGN_INVALID_PERSON", "filters.whiteList.1"),
        (said("DM", Value::Null), "CAMPAIGN_TEXT_MISSING", "text"),
        (said("LIKE", json!("hi")), "CAMPAIGN_TEXT_NOT_FOR_MODULE", "text"),
        (said("DM", json!("hi {name}")), "TEMPLATE_UNKNOWN_VARIABLE", "text"),
        (said("COMMENT", json!("hi {a|b")), "TEMPLATE_UNCLOSED_BRACE", "text"),
        (said("COMMENT", json!(" ")), "TEMPLATE_EMPTY", "text"),
        (said("COMMENT", json!("Nice!")), "TEMPLATE_TOO_UNIFORM", "text"),
        (
            with(campaign("LIKE", tag.clone()), json!({ "stopWords": ["no"] })),
            "CAMPAIGN_STOP_WORDS_NOT_FOR_MODULE",
            "stopWords",
        ),
    ] {
        let (found, at) = person.client.refused("defineCampaign", input).await;
        let whole: Vec<&str> = ["input"].into_iter().chain(path.split('.')).collect();
        assert_eq!((found.as_str(), at), (code, json!(whole)));
    }
    assert_eq!(app.world.count("SELECT count(*) FROM events WHERE aggregate_type = 'Campaign'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn list_of_a_million_is_not_even_read() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let people: Vec<String> = (0..1_000_000).map(|number: u32| format!("u{number}")).collect();
    let input = campaign("LIKE", json!({ "list": { "people": people } }));
    let query = "mutation ($input: DefineCampaignInput!) { defineCampaign(input: $input) { userErrors { code } } }";
    let answer = person.client.graphql(query, json!({ "input": input })).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "BODY_TOO_LARGE"));
    assert_eq!(app.world.count("SELECT count(*) FROM events WHERE aggregate_type = 'Campaign'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_previewed_before_anything_is_sent() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let query = "query ($text: String!, $most: Int!) { previewTemplate(text: $text, samples: 4, maxTargets: $most) {
        renderings { username text problem { code } } variants problem { code message position } variables } }";
    let preview = async |text: &str, most: u32| {
        person.client.query(query, json!({ "text": text, "most": most })).await["previewTemplate"].take()
    };
    let good = preview("{Hi|Hello} {first_name?there}!", 200).await;
    assert_eq!((&good["variants"], &good["problem"]), (&json!(2.0), &Value::Null));
    let texts: Vec<&str> =
        good["renderings"].as_array().expect("a list").iter().filter_map(|one| one["text"].as_str()).collect();
    assert_eq!(texts.len(), 4);
    assert!(texts.iter().any(|text| text.ends_with(" Mia!")) && texts.iter().any(|text| text.ends_with(" there!")));
    let unknown = preview("Hi {nick}", 5).await;
    assert_eq!(
        (&unknown["problem"]["code"], &unknown["problem"]["position"]),
        (&json!("TEMPLATE_UNKNOWN_VARIABLE"), &json!(4))
    );
    assert_eq!((&unknown["renderings"], &unknown["variables"][0]), (&json!([]), &json!("username")));
    let same = preview("Hi!", 50).await;
    assert_eq!(same["problem"]["code"], "TEMPLATE_TOO_UNIFORM");
    let nameless = preview("{first_name}", 5).await;
    let problems: Vec<&Value> =
        nameless["renderings"].as_array().expect("a list").iter().map(|one| &one["problem"]).collect();
    assert_eq!(problems.iter().filter(|problem| problem["code"] == "TEMPLATE_RENDERS_EMPTY").count(), 1);
}
