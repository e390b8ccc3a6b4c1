//! A client of `graphql-transport-ws`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::client::Client;

const LIMIT: Duration = Duration::from_secs(30);

/// One socket.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What the server says next.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Message(Value),
    Closed(u16),
}

/// The handshake of `client`.
pub fn handshake(client: &Client, protocol: &str) -> Request<()> {
    let url = format!("ws://{}/graphql/ws", client.address);
    let mut request = url.into_client_request().expect("a request");
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocol.parse().expect("a protocol"));
    if let Some(cookie) = &client.cookie {
        headers.insert("cookie", cookie.parse().expect("a cookie"));
    }
    request
}

impl Socket {
    pub async fn try_open(request: Request<()>) -> Result<Self, Error> {
        connect_async(request).await.map(|(stream, _)| Self(stream))
    }

    /// A socket that has not said who it is.
    pub async fn open(client: &Client) -> Self {
        Self::try_open(handshake(client, "graphql-transport-ws")).await.expect("the server opens a socket")
    }

    /// A socket that is ready.
    pub async fn ready(client: &Client) -> Self {
        let mut socket = Self::open(client).await;
        socket.say(json!({ "type": "connection_init" })).await;
        assert_eq!(socket.hear().await, Heard::Message(json!({ "type": "connection_ack" })));
        socket
    }

    pub async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    pub async fn say_text(&mut self, text: &str) {
        self.0.send(Message::text(text.to_owned())).await.expect("the message is sent");
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(json!({ "type": "subscribe", "id": id, "payload": payload })).await;
    }

    /// What is said next, pings of the transport aside.
    pub async fn hear(&mut self) -> Heard {
        loop {
            let next = timeout(LIMIT, self.0.next()).await.expect("the server says something");
            match next {
                Some(Ok(Message::Text(text))) => {
                    return Heard::Message(serde_json::from_str(&text).expect("it is JSON"));
                }
                Some(Ok(Message::Close(Some(frame)))) => return Heard::Closed(frame.code.into()),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Heard::Closed(0),
                Some(Ok(_)) => {}
            }
        }
    }

    /// The payload of the next message of an operation.
    pub async fn next(&mut self, id: &str) -> Value {
        match self.hear().await {
            Heard::Message(mut message) if message["type"] == "next" && message["id"] == id => {
                message["payload"].take()
            }
            other => panic!("{other:?} instead of a message of {id}"),
        }
    }
}
