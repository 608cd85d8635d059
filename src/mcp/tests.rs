use super::*;

fn read(body: &str) -> Result<Message, MessageError> {
    Message::read(body.as_bytes(), Some("secret-bearer"))
}

#[test]
fn what_two_readers_read_differently_is_refused() {
    use MessageError::*;
    for (body, expected) in [
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Batch),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, Json(ArgumentProblem::Repeated)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","na\u006de":"b"}}"#,
            Json(ArgumentProblem::Repeated),
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}"#, Json(ArgumentProblem::Alike)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"NAME":"b"}}"#,
            Spelling("NAME".into()),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":1,"A":2}}}"#,
            Json(ArgumentProblem::Alike),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"p":[{"a":1,"A":2}]}}}"#,
            Json(ArgumentProblem::Alike),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"argument\u017f":{}}}"#,
            Spelling("argument\u{17f}".into()),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"o":{"stra\u00dfe":1,"stra\u1e9ee":2}}}"#,
            Json(ArgumentProblem::Alike),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name\u0000":"b"}}"#,
            Json(ArgumentProblem::Name),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","method\u0000x":"b"}"#,
            Json(ArgumentProblem::Name),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"x":[{"y\u200b":1}]}}}"#,
            Json(ArgumentProblem::Name),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"\uff4eame":"b"}}"#,
            Spelling("\u{ff4e}ame".into()),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name ":"b"}}"#,
            Spelling("name ".into()),
        ),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}{}", Json(ArgumentProblem::NotJson)),
        ("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}", Json(ArgumentProblem::NotJson)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"x":["secret-b\u0065arer"]}}}"#,
            CarriesBearer,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#, Form("\"params\" is no object")),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
            Form("\"id\" is neither a text nor an integer"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#,
            Form("\"id\" is neither a text nor an integer"),
        ),
        (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, Form("\"jsonrpc\" is not \"2.0\"")),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
            Form("it is a request and an answer at once"),
        ),
        ("3", Form("it is no object")),
    ] {
        assert_eq!(read(body).unwrap_err(), expected, "{body}");
    }
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"_meta":{}{}}}}}"#,
        "[".repeat(MAX_LEVELS),
        "]".repeat(MAX_LEVELS)
    );
    assert_eq!(read(&deep).unwrap_err(), Json(ArgumentProblem::TooLarge));
    let wide = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":[{}]}}"#,
        vec!["1"; MAX_MESSAGE_VALUES].join(",")
    );
    assert_eq!(read(&wide).unwrap_err(), Json(ArgumentProblem::TooLarge));
}

#[test]
fn requests_notifications_and_answers_are_told_apart() {
    let request = read(r#"{"jsonrpc":"2.0","id":"7","method":"ping"}"#).unwrap();
    assert_eq!(request.id().map(Id::to_json), Some("7".into()));
    let note = read(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
    assert!(matches!(note.0, Content::Notification { .. }));
    let answer = read(r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}"#).unwrap();
    assert!(matches!(answer.0, Content::Response));
}

#[test]
fn a_member_in_another_spelling_is_refused_whichever_it_is() {
    let spelling = |body: String, name: &str| {
        let refused = read(&body).err();
        assert_eq!(refused, Some(MessageError::Spelling(name.to_owned())), "{name} passes");
    };
    for name in ["jsonrpc", "id", "method", "params", "result", "error"] {
        let name = name.to_uppercase();
        spelling(format!(r#"{{"{name}":1}}"#), &name);
    }
    for name in [
        "name",
        "arguments",
        "uri",
        "ref",
        "argument",
        "context",
        "taskId",
        "task",
        "cursor",
        "level",
        "notifications",
        "protocolVersion",
        "_meta",
    ] {
        let name = name.to_uppercase();
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"{name}":1}}}}"#);
        spelling(body, &name);
    }
}

#[test]
fn the_bearer_is_found_wherever_it_stands_and_without_its_padding() {
    let carries = |params: &str, bearer: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{params}}}"#);
        Message::read(body.as_bytes(), Some(bearer)).err() == Some(MessageError::CarriesBearer)
    };
    for (params, where_it_is) in [
        (r#"{"a":"x c2VjcmV0 y"}"#, "in a text"),
        (r#"{"c2VjcmV0":1}"#, "in a name"),
        (r#"{"a":["c2VjcmV0"]}"#, "in a list"),
        (r#"{"a":{"b":"c2VjcmV0"}}"#, "in an object"),
        (r#"{"a":[{"b":[{"c2VjcmV0":1}]}]}"#, "in a name far below"),
    ] {
        assert!(carries(params, "c2VjcmV0"), "{where_it_is}");
        assert!(carries(params, "c2VjcmV0=="), "{where_it_is}, without its padding");
    }
    assert!(!carries(r#"{"a":"c2VjcmV"}"#, "c2VjcmV0"));
}

#[test]
fn ids_are_texts_of_bounded_length_or_integers() {
    let with_id =
        |id: &str| read(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#)).map(|_| ());
    let text = |bytes: usize| format!("\"{}\"", "a".repeat(bytes));
    assert_eq!(with_id(&text(MAX_ID_BYTES)), Ok(()));
    assert_eq!(with_id(&text(MAX_ID_BYTES + 1)), Err(MessageError::Form("\"id\" is too long")));
    assert_eq!(with_id("-9007199254740991"), Ok(()));
    for id in ["1.5", "null", "true", "[1]", "{}"] {
        let refused = Err(MessageError::Form("\"id\" is neither a text nor an integer"));
        assert_eq!(with_id(id), refused, "{id}");
    }
}

#[test]
fn large_integers_are_read_in_the_arguments_of_tools_and_prompts_alone() {
    let of = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    };
    let read = |body: &str| Message::read_with_large_integers(body.as_bytes(), None);
    let unsafe_integer = Some(MessageError::Json(ArgumentProblem::UnsafeInteger));
    let arguments = r#"{"name":"t","arguments":{"a":[9007199254740993]}}"#;
    for method in ["tools/call", "prompts/get"] {
        let body = of(method, arguments);
        assert_eq!(Message::read(body.as_bytes(), None).err(), unsafe_integer);
        let call = read(&body).unwrap().calls().unwrap().remove(0);
        assert_eq!(call.arguments_json()["a"][0], serde_json::json!(9007199254740993_i64));
        let other = read(&body.replace("993", "992")).unwrap().calls().unwrap().remove(0);
        assert_ne!(call.digest(), other.digest());
    }
    for body in [
        of("tasks/get", r#"{"taskId":"t","arguments":{"a":9007199254740993}}"#),
        of("completion/complete", arguments),
        of("tools/call", r#"{"name":"t","_meta":{"progressToken":9007199254740993}}"#),
        of("tools/call", r#"{"name":"t","inputResponses":[{"a":9007199254740993}]}"#),
        of("tools/call", r#"{"name":"t","x":{"arguments":{"a":9007199254740993}}}"#),
        of("tools/call", "9007199254740993"),
        of("tools/call", "[9007199254740993]"),
        r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"t"}}"#.into(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","arguments":{"a":9007199254740993}}"#.into(),
        r#"{"jsonrpc":"2.0","id":1,"result":{"arguments":{"a":9007199254740993}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":1,"method":["tools/call"],"params":{"arguments":{"a":9007199254740993}}}"#.into(),
    ] {
        assert_eq!(read(&body).err(), unsafe_integer, "{body}");
    }
    let beyond = of("tools/call", r#"{"name":"t","arguments":{"a":9223372036854775808}}"#);
    let inexact = Some(MessageError::Json(ArgumentProblem::InexactInteger));
    assert_eq!(read(&beyond).err(), inexact);
}

#[test]
fn a_message_has_just_so_many_values_and_levels() {
    let with = |meta: String| {
        let params = format!(r#"{{"_meta":{meta}}}"#);
        read(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{params}}}"#)).err()
    };
    let too_large = Some(MessageError::Json(ArgumentProblem::TooLarge));
    // Message and parameters are two levels.
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let most = (1..2 * MAX_LEVELS).take_while(|levels| with(deep(*levels)).is_none()).count();
    assert_eq!(most, MAX_LEVELS - 2, "levels");
    assert_eq!(with(deep(most + 1)), too_large);
    // So are the message, its members, and the list.
    let wide = |values: usize| format!("[{}]", vec!["1"; values].join(","));
    assert_eq!(with(wide(MAX_MESSAGE_VALUES - 6)), None, "values");
    assert_eq!(with(wide(MAX_MESSAGE_VALUES + 1)), too_large);
}

#[test]
fn an_answer_names_what_it_answers_and_a_method_is_a_text() {
    for (body, problem) in [
        (r#"{"jsonrpc":"2.0","result":{}}"#, "it has neither \"method\" nor a result"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "it has neither \"method\" nor a result"),
        (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, "\"method\" is no text"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","error":{}}"#,
            "it is a request and an answer at once",
        ),
        (r#"{"id":1,"method":"a"}"#, "\"jsonrpc\" is not \"2.0\""),
    ] {
        assert_eq!(read(body).err(), Some(MessageError::Form(problem)), "{body}");
    }
}

#[test]
fn whoever_sent_what_cannot_be_read_is_known_by_an_id_that_one_can_have() {
    let sender = |id: &str, method: &str| {
        let body = format!(r#"{{"id":{id},"method":"{method}","params":{{"a":1,"a":2}}}}"#);
        let sender = Message::sender_of(body.as_bytes());
        sender.map(|(id, method)| (id.to_json(), method))
    };
    assert_eq!(sender("7", "tools/call"), Some((7.into(), "tools/call".to_owned())));
    assert_eq!(sender("\"x\"", "ping"), Some(("x".into(), "ping".to_owned())));
    let longest = "a".repeat(MAX_ID_BYTES);
    assert!(sender(&format!("\"{longest}\""), "ping").is_some());
    assert_eq!(sender(&format!("\"{longest}a\""), "ping"), None, "an id that is too long");
    assert_eq!(sender("1.5", "ping"), None, "an id that is no integer");
    assert_eq!(sender("null", "ping"), None);
}

#[test]
fn what_is_not_known_or_not_of_its_form_means_no_call_and_is_refused() {
    let calls = |body: &str| read(body).unwrap().calls();
    let request = |method: &str, params: &str| {
        calls(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#))
    };
    // Whoever asks for the calls alone must not take these for what any token may do.
    for method in ["tools/delete", "sampling/createMessage", "Tools/call", "tools/call ", ""] {
        assert_eq!(request(method, "{}"), Err(MessageError::Method(method.to_owned())));
    }
    let unanswered = calls(r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#);
    assert_eq!(unanswered, Err(MessageError::Answerless("tools/call")));
    let answered = request("notifications/initialized", "{}");
    assert_eq!(answered, Err(MessageError::Answerless("notifications/initialized")));
    assert_eq!(request("tools/call", "{}"), Err(MessageError::Parameters));
    assert!(matches!(request("tools/call", r#"{"name":"a b"}"#), Err(MessageError::Name(_))));
    let uri = request("resources/read", r#"{"uri":"https://a.b/../c"}"#);
    assert!(matches!(uri, Err(MessageError::Call(_))), "{uri:?}");
    // And these any valid token may.
    for method in ["ping", "initialize", "tools/list"] {
        assert_eq!(request(method, "{}"), Ok(vec![]), "{method}");
    }
    assert_eq!(calls(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Ok(vec![]));
    assert_eq!(calls(r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#), Ok(vec![]));
}

#[test]
fn what_one_protocol_lacks_is_known_to_the_other_alone() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tasks/list"}"#;
    let message = read(body).unwrap();
    assert_eq!(message.asks(Era::Legacy).map(Method::needs), Ok(Needs::Listing));
    let gone = message.asks(Era::Modern).err();
    assert_eq!(gone, Some(MessageError::Method("tasks/list".to_owned())));
    let answer = read(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).unwrap();
    assert!(answer.asks(Era::Legacy).is_err() && answer.method().is_none());
    for (version, era) in
        [("2025-11-25", Era::Legacy), ("2026-07-28", Era::Modern), ("2027-01-01", Era::Modern)]
    {
        assert_eq!(Era::of_version(version), era);
        let meta = format!(r#"{{"_meta":{{"{VERSION_IN_META}":"{version}"}}}}"#);
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{meta}}}"#);
        assert_eq!(read(&body).unwrap().protocol_version(), Some(version));
    }
    assert_eq!(message.protocol_version(), None);
}

#[test]
fn whoever_sent_what_cannot_be_judged_hears_why_in_the_words_of_every_door() {
    use crate::guard::{Denial, Refused};
    let refused = |error: MessageError| {
        let cause = error.cause();
        let denial = Denial::from(error);
        assert_eq!(denial.cause(), cause);
        Refused::of(&denial, "the request")
    };
    let twice = read(r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#).unwrap_err();
    let twice = refused(twice);
    assert_eq!((twice.status, twice.cause), (400, Some(Cause::InexactCall)));
    let said = "the message has a member twice, which readers read differently. Trying again in the same way will not help";
    assert_eq!(twice.description, said);
    let large = refused(MessageError::Json(ArgumentProblem::TooLarge));
    assert_eq!((large.status, large.cause), (400, Some(Cause::CallTooLarge)));
    let shown = MessageError::Method(format!("a\u{1b}\u{202e}{}", "b".repeat(100))).to_string();
    assert_eq!(shown, format!("the method a{} is not known here", "b".repeat(61)));
}

#[test]
fn a_long_request_that_subscribes_to_too_many_is_refused() {
    let uris = vec!["\"a:b\""; 500].join(",");
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{{"resourceSubscriptions":[{uris}]}},"x":"{}"}}}}"#,
        "x".repeat(1 << 20)
    );
    assert_eq!(read(&body).unwrap().calls(), Err(MessageError::Parameters));
}
