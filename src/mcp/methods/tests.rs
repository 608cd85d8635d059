use serde_json::json;

use super::*;

fn calls(name: &str, params: Value) -> Result<Vec<String>, MessageError> {
    let Value::Object(params) = params else { panic!("no object") };
    let calls = Method::find(name).unwrap().calls(&params)?;
    Ok(calls
        .iter()
        .map(|call| {
            let arguments = Value::Object(call.arguments_json().clone());
            format!("{} {:?} {arguments}", call.operation(), call.resource_uri())
        })
        .collect())
}

#[test]
fn each_method_needs_what_the_table_says() {
    for (name, params, expected) in [
        (
            "tools/call",
            json!({"name": "search", "arguments": {"query": "a"}}),
            r#"tools:call:search None {"query":"a"}"#,
        ),
        ("prompts/get", json!({"name": "brief"}), "prompts:get:brief None {}"),
        (
            "resources/read",
            json!({"uri": "https://a.b/"}),
            r#"resources:read Some("https://a.b/") {}"#,
        ),
        (
            "skills/get",
            json!({"uri": "https://a.b/SKILL.md"}),
            r#"skills:get Some("https://a.b/SKILL.md") {}"#,
        ),
        (
            "subscriptions/listen",
            json!({"notifications": {"resourceSubscriptions": ["https://a.b/"]}}),
            r#"resources:subscribe Some("https://a.b/") {}"#,
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "brief"}, "argument": {"name": "a", "value": "b"}}),
            r#"completion:complete None {"argument":{"name":"a","value":"b"},"prompt":"brief"}"#,
        ),
        (
            "logging/setLevel",
            json!({"level": "debug"}),
            r#"logging:setLevel None {"level":"debug"}"#,
        ),
        ("tasks/get", json!({"taskId": "t1"}), r#"tasks:get None {"task":"t1"}"#),
    ] {
        assert_eq!(calls(name, params).unwrap(), [expected], "{name}");
    }
    assert_eq!(
        calls("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})),
        Ok(vec![])
    );
}

#[test]
fn parameters_of_another_form_name_no_call() {
    for (name, params) in [
        ("tools/call", json!({})),
        ("tools/call", json!({"name": ["search"]})),
        ("tools/call", json!({"name": "search", "arguments": [1]})),
        ("tools/call", json!({"name": "sea rch"})),
        ("tools/call", json!({"name": "*"})),
        ("resources/read", json!({"uri": "https://a.b/../c"})),
        ("subscriptions/listen", json!({})),
        ("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": [1]}})),
        ("subscriptions/listen", json!({"notifications": {"toolsListChanged": "yes"}})),
        ("subscriptions/listen", json!({"notifications": {"everything": true}})),
        (
            "completion/complete",
            json!({"ref": {"name": "a", "also": "b"}, "argument": {"name": "c", "value": "d"}}),
        ),
        ("completion/complete", json!({"argument": {}})),
    ] {
        assert!(calls(name, params.clone()).is_err(), "{name} {params}");
    }
}

#[test]
fn what_servers_send_and_what_nobody_knows_is_unknown() {
    for name in ["sampling/createMessage", "elicitation/create", "roots/list", "tools/delete", ""] {
        assert!(Method::find(name).is_none(), "{name}");
    }
}

#[test]
fn what_the_newer_protocol_took_away_is_of_the_older_one_alone() {
    let of = |era| METHODS.iter().filter(move |method| method.is_of(era)).map(|method| method.name);
    assert_eq!(of(Era::Legacy).count(), METHODS.len());
    let modern: Vec<&str> = of(Era::Modern).collect();
    let gone: Vec<&str> = of(Era::Legacy).filter(|name| !modern.contains(name)).collect();
    let expected = [
        "resources/subscribe",
        "resources/unsubscribe",
        "logging/setLevel",
        "tasks/list",
        "tasks/result",
    ];
    assert_eq!(gone, expected);
}

#[test]
fn no_method_stands_twice() {
    for (index, method) in METHODS.iter().enumerate() {
        assert!(METHODS[..index].iter().all(|other| other.name != method.name));
    }
}

#[test]
fn a_request_subscribes_to_just_so_many() {
    let listen = |resources: usize, tasks: usize| {
        let uris: Vec<String> = (0..resources).map(|n| format!("https://a.b/{n}")).collect();
        let ids: Vec<String> = (0..tasks).map(|n| format!("t{n}")).collect();
        let filter = json!({"resourceSubscriptions": uris, "taskIds": ids});
        calls("subscriptions/listen", json!({"notifications": filter})).map(|calls| calls.len())
    };
    assert_eq!(listen(MAX_SUBSCRIPTIONS, 0), Ok(MAX_SUBSCRIPTIONS));
    assert_eq!(listen(MAX_SUBSCRIPTIONS - 1, 1), Ok(MAX_SUBSCRIPTIONS));
    assert_eq!(listen(MAX_SUBSCRIPTIONS + 1, 0), Err(MessageError::Parameters));
    assert_eq!(listen(MAX_SUBSCRIPTIONS, 1), Err(MessageError::Parameters));
    assert_eq!(listen(0, MAX_SUBSCRIPTIONS + 1), Err(MessageError::Parameters));
}

/// That the texts name no resource would be seen in a call made of one.
#[test]
fn too_many_are_refused_before_one_is_looked_at() {
    let listen = |many: usize| {
        let filter = json!({"resourceSubscriptions": vec!["no URI"; many]});
        calls("subscriptions/listen", json!({"notifications": filter}))
    };
    assert!(matches!(listen(MAX_SUBSCRIPTIONS), Err(MessageError::Call(_))));
    assert_eq!(listen(MAX_SUBSCRIPTIONS + 1), Err(MessageError::Parameters));
}

#[test]
fn the_calls_of_a_request_share_what_else_it_says() {
    let filter =
        json!({"resourceSubscriptions": ["https://a.b/", "https://c.d/"], "taskIds": ["t"]});
    let params = json!({"notifications": filter, "x": "x".repeat(1 << 10)});
    let calls = Method::find("subscriptions/listen").unwrap().calls(params.as_object().unwrap());
    let calls = calls.unwrap();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.shares_params_with(&calls[0])));
}

#[test]
fn tasks_are_their_owners_in_every_method_that_names_one() {
    for name in ["tasks/get", "tasks/result", "tasks/update", "tasks/cancel"] {
        let method = Method::find(name).unwrap();
        assert_eq!(method.needs(), Needs::OwnTasks, "{name} is for anybody");
        let operation = name.replace('/', ":");
        let expected = format!(r#"{operation} None {{"task":"t1"}}"#);
        assert_eq!(calls(name, json!({"taskId": "t1"})), Ok(vec![expected]), "{name}");
        assert!(calls(name, json!({"taskId": 1})).is_err() && calls(name, json!({})).is_err());
    }
    assert_eq!(Method::find("subscriptions/listen").unwrap().needs(), Needs::OwnTasks);
    let named = |params: Value| {
        let ids = task_ids(params.as_object().unwrap());
        ids.map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let both = json!({"notifications": {"taskIds": ["a", "b"]}, "taskId": "c"});
    assert_eq!(named(both), Ok(["a", "b", "c"].map(str::to_owned).to_vec()));
    for params in [
        json!({"taskId": 1}),
        json!({"notifications": {"taskIds": "a"}}),
        json!({"notifications": {"taskIds": [1]}}),
    ] {
        assert!(named(params.clone()).is_err(), "{params}");
    }
}

#[test]
fn what_completion_is_asked_for_has_no_other_members() {
    let asked = |reference: Value, argument: Value| {
        calls("completion/complete", json!({"ref": reference, "argument": argument}))
    };
    let (reference, argument) = (json!({"name": "a"}), json!({"name": "c", "value": "d"}));
    assert!(asked(reference.clone(), argument.clone()).is_ok());
    let other = json!({"name": "a", "also": "b"});
    assert_eq!(asked(other, argument), Err(MessageError::Parameters), "a reference");
    let other = json!({"name": "c", "value": "d", "also": "e"});
    assert_eq!(asked(reference, other), Err(MessageError::Parameters), "an argument");
}

#[test]
fn arguments_that_are_null_are_none() {
    let call = calls("tools/call", json!({"name": "search", "arguments": null}));
    assert_eq!(call, Ok(vec!["tools:call:search None {}".to_owned()]));
}

#[test]
fn what_a_request_says_besides_what_it_listens_to_is_bounded_since_each_call_has_it() {
    let uris: Vec<String> = (0..MAX_SUBSCRIPTIONS).map(|n| format!("https://a.b/{n}")).collect();
    let listen = |bytes: usize| {
        let filter = json!({"resourceSubscriptions": uris});
        let empty = r#"{"x":""}"#.len();
        let params = json!({"notifications": filter, "x": "a".repeat(bytes - empty)});
        calls("subscriptions/listen", params)
    };
    assert_eq!(listen(MAX_SHARED_BYTES).unwrap().len(), MAX_SUBSCRIPTIONS);
    let too_large = MessageError::Json(ArgumentProblem::TooLarge);
    assert_eq!(listen(MAX_SHARED_BYTES + 1), Err(too_large));
}
