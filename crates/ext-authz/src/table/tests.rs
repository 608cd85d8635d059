use super::*;
use crate::settings::OneOrMore;

fn route(method: &str, path: &str, operation: &str) -> RouteSettings {
    RouteSettings {
        method: OneOrMore::One(method.to_owned()),
        path: path.to_owned(),
        operation: operation.to_owned(),
        resource: None,
        query: Vec::new(),
        body: None,
    }
}

fn table(routes: &[RouteSettings]) -> Table {
    Table::of(routes, false).unwrap()
}

fn call(table: &Table, method: &str, target: &str) -> Result<Call, Undescribed> {
    table.call(Described { method, target, body: Err(Undescribed::Incomplete) })
}

/// Operation, resource and arguments.
fn said(table: &Table, method: &str, target: &str) -> String {
    match call(table, method, target) {
        Ok(call) => {
            let resource = call.resource_uri().unwrap_or("-");
            let arguments = serde_json::to_string(call.arguments_json()).unwrap();
            format!("{} {resource} {arguments}", call.operation())
        }
        Err(error) => error.cause().to_string(),
    }
}

#[test]
fn a_request_means_the_call_of_the_route_that_fits_best() {
    let mut read = route("GET", "/pages/{page}", "pages:read");
    read.query = vec!["version".to_owned()];
    read.resource = Some("https://pages.example/pages/{page}".to_owned());
    let mut files = route("GET", "/files/{*path}", "files:read");
    files.resource = Some("https://pages.example/files/{path}".to_owned());
    let table = table(&[
        read,
        route("PUT", "/pages/{page}", "pages:write"),
        route("GET", "/pages/new", "pages:form"),
        route("GET", "/pages/", "pages:list"),
        files,
        route("GET", "/files/{name}", "files:top"),
        route("GET", "/{kind}/new", "any:form"),
        route("GET", "/", "home"),
        route("GET", "/café/{x}", "menu:read"),
    ]);
    for (method, target, expected) in [
        ("GET", "/pages/a", r#"pages:read https://pages.example/pages/a {"page":"a"}"#),
        ("HEAD", "/pages/a", r#"pages:read https://pages.example/pages/a {"page":"a"}"#),
        ("PUT", "/pages/a", r#"pages:write - {"page":"a"}"#),
        (
            "GET",
            "/pages/a%20b%22?version=2%263",
            r#"pages:read https://pages.example/pages/a%20b%22 {"page":"a b\"","version":"2&3"}"#,
        ),
        ("GET", "/pages/new", "pages:form - {}"),
        ("GET", "/pages/", "pages:list - {}"),
        ("GET", "/pages", "no_route"),
        ("GET", "/pages/a/", "no_route"),
        ("GET", "/Pages/a", "no_route"),
        ("PUT", "/pages/new", "no_operation"),
        ("get", "/pages/a", "no_operation"),
        ("DELETE", "/pages/a", "no_operation"),
        ("HEAD", "/nowhere", "no_route"),
        ("GET", "/drafts/new", r#"any:form - {"kind":"drafts"}"#),
        ("GET", "/files/a", r#"files:top - {"name":"a"}"#),
        (
            "GET",
            "/files/a/b%20c",
            r#"files:read https://pages.example/files/a/b%20c {"path":"a/b c"}"#,
        ),
        ("GET", "/files/", "no_route"),
        ("GET", "/files/a/", "no_route"),
        ("GET", "/", "home - {}"),
        ("GET", "/caf%C3%A9/1", r#"menu:read - {"x":"1"}"#),
    ] {
        assert_eq!(said(&table, method, target), expected, "{method} {target}");
    }
}

#[test]
fn what_a_route_does_not_have_is_refused() {
    let mut read = route("GET", "/pages/{page}", "pages:read");
    read.query = vec!["version".to_owned(), "lang".to_owned()];
    let table = table(&[read]);
    for (target, expected) in [
        ("/pages/a?lang=de&version=1", r#"pages:read - {"lang":"de","page":"a","version":"1"}"#),
        ("/pages/a?", r#"pages:read - {"page":"a"}"#),
        ("/pages/a?other=1", "undescribed"),
        ("/pages/a?page=b", "undescribed"),
        ("/pages/a?Version=1", "undescribed"),
        ("/pages/a?version=1&version=2", "inexact_call"),
        ("/pages/a?version=1&version=1", "inexact_call"),
        ("/pages/a?versi%6Fn=1", "undescribed"),
        ("/pages/a?access_token=x", "undescribed"),
        ("//pages/a", "undescribed"),
        ("/pages/x/../a", "undescribed"),
        ("http://pages.example/pages/a", "undescribed"),
        ("/pages/%FF", "not_text"),
    ] {
        assert_eq!(said(&table, "GET", target), expected, "{target}");
    }
}

#[test]
fn the_members_of_a_body_are_arguments_beside_those_of_the_path() {
    let mut write = route("PUT", "/pages/{page}", "pages:write");
    write.body = Some(BodyKind::Json);
    let table = table(&[write]);
    let with = |body: &str| {
        let body = Bytes::from(body.to_owned());
        let request = Described { method: "PUT", target: "/pages/a", body: Ok(&body) };
        table.call(request).map(|call| call.arguments_json().len()).map_err(|error| error.cause())
    };
    use hardtack::cause::Cause;
    assert_eq!(with(r#"{"title": "x", "tags": ["a"]}"#), Ok(3));
    assert_eq!(with("{}"), Ok(1));
    for body in ["", "[]", "null", r#"{"page": "b"}"#, r#"{"t": 1, "t": 2}"#, r#"{"t": 1} {}"#] {
        assert_eq!(with(body), Err(Cause::InexactCall), "{body}");
    }
    let unsent = call(&table, "PUT", "/pages/a");
    assert_eq!(unsent.err(), Some(Undescribed::Incomplete), "a body that is not here is not empty");
}

#[test]
fn a_table_that_cannot_be_read_in_one_way_is_refused() {
    let with = |change: fn(&mut RouteSettings)| {
        let mut route = route("GET", "/pages/{page}", "pages:read");
        change(&mut route);
        vec![route]
    };
    let twice = |second: RouteSettings| vec![route("GET", "/pages/{page}", "pages:read"), second];
    for (routes, why) in [
        (with(|route| route.path = "pages".to_owned()), "slash"),
        (with(|route| route.path = "/a//b".to_owned()), "no segment"),
        (with(|route| route.path = "/a/../b".to_owned()), "no segment"),
        (with(|route| route.path = "/a%20b".to_owned()), "no segment"),
        (with(|route| route.path = "/v{page}".to_owned()), "whole segment"),
        (with(|route| route.path = "/{*rest}/x".to_owned()), "no parameter"),
        (with(|route| route.path = "/{}".to_owned()), "no parameter"),
        (with(|route| route.path = "/{page}/{Page}".to_owned()), "twice"),
        (with(|route| route.query = vec!["page".to_owned()]), "twice"),
        (with(|route| route.query = vec!["a[]".to_owned()]), "letters"),
        (with(|route| route.query = vec!["Token".to_owned()]), "log"),
        (with(|route| route.method = OneOrMore::One("get".to_owned())), "capitals"),
        (with(|route| route.method = OneOrMore::More(Vec::new())), "capitals"),
        (with(|route| route.operation = "pages:*".to_owned()), "operation"),
        (with(|route| route.operation = "hardtack:revoke".to_owned()), "Hardtack itself"),
        (with(|route| route.resource = Some("https://x/{other}".to_owned())), "other"),
        (with(|route| route.resource = Some("https://X/{page}".to_owned())), "normal form"),
        (twice(route("GET", "/pages/{name}", "pages:other")), "another route"),
    ] {
        let error = Table::of(&routes, false).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn another_spelling_of_a_known_text_is_no_parameter() {
    let table = table(&[
        route("GET", "/pages/{page}", "pages:read"),
        route("PUT", "/pages/admin", "pages:rule"),
        route("GET", "/files/{*path}", "files:read"),
        route("GET", "/files/Secret/{name}", "files:secret"),
        route("GET", "/Both/{x}", "both:large"),
        route("GET", "/both/{x}", "both:small"),
    ]);
    for segment in [
        "Admin",
        "ADMIN",
        "%EF%BD%81dmin",
        "admin.",
        "admin%20",
        "%20admin",
        "admin%20.%20.",
        "admin%E2%80%8B",
        "ad%C2%ADmin",
        "admin%C2%A0",
        "adm%C4%B0n",
    ] {
        let target = format!("/pages/{segment}");
        assert_eq!(said(&table, "GET", &target), "undescribed", "{target}");
        assert_eq!(said(&table, "HEAD", &target), "undescribed", "{target}");
    }
    for (target, expected) in [
        ("/files/secret/a", "undescribed"),
        ("/files/Secret/a", r#"files:secret - {"name":"a"}"#),
        ("/files/secret", r#"files:read - {"path":"secret"}"#),
        ("/pages/admins", r#"pages:read - {"page":"admins"}"#),
        ("/pages/.admin", r#"pages:read - {"page":".admin"}"#),
        ("/Both/1", r#"both:large - {"x":"1"}"#),
        ("/both/1", r#"both:small - {"x":"1"}"#),
    ] {
        assert_eq!(said(&table, "GET", target), expected, "{target}");
    }
}
