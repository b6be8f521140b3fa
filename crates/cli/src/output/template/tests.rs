//! Templates as people write them for Docker.

use serde_json::{Value, json};

use super::{Scope, Template};
use crate::output::rows::{Format, Row};

struct Fruit;

impl Row for Fruit {
    const TYPE: &'static str = "*formatter.Fruit";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("Name", "NAME"), ("Colour", "COLOUR"), ("Price", "PRICE")];
    const HAS_LABELS: bool = true;

    fn field(&self, name: &str) -> Value {
        match name {
            "Name" => "apple <1>".into(),
            "Colour" => "red,green".into(),
            _ => 3.into(),
        }
    }

    fn label(&self, name: &str) -> String {
        if name == "shop.aisle-number" { "7".to_owned() } else { String::new() }
    }
}

#[track_caller]
fn check_row(format: &str, expected: &str) {
    let text = Format::parse(format).unwrap().render(&[Fruit]).unwrap();
    assert_eq!(text, expected, "{format}");
}

#[test]
fn rows_are_filled_in() {
    check_row("{{.Name}}/{{ .Price }}", "apple <1>/3\n");
    check_row("{{upper .Name}}", "APPLE <1>\n");
    check_row("{{.Name | upper | printf \"%s!\"}}", "APPLE <1>!\n");
    check_row("{{join (split .Colour \",\") \"/\"}}", "red/green\n");
    check_row(
        "{{truncate .Name 3}}{{pad .Colour 1 1}}|{{title .Name}}",
        "app red,green |Apple <1>\n",
    );
    check_row("{{if eq .Price 3}}cheap{{end}}", "cheap\n");
    check_row("{{.Label \"shop.aisle-number\"}}", "7\n");
    check_row("{{.Label \"shop.aisle-number\" | printf \"%s-\"}}", "7-\n");
    check_row("a\\tb", "a\tb\n");
}

#[test]
fn documents_are_sorted_and_escaped_as_gos_maps_are() {
    let expected = "{\"Colour\":\"red,green\",\"Name\":\"apple \\u003c1\\u003e\",\"Price\":3}\n";
    check_row("json", expected);
    check_row("{{json .}}", expected);
    check_row("{{json .Name}}", "\"apple <1>\"\n");
}

#[test]
fn tables_have_headers() {
    check_row("table {{.Name}}\\t{{.Price}}", "NAME        PRICE\napple <1>   3\n");
    check_row("table {{upper .Name}}", "NAME\nAPPLE <1>\n");
    check_row(
        "table {{.Label \"shop.aisle-number\"}}\t{{.Price}}",
        "aisle number   PRICE\n7              3\n",
    );
}

#[track_caller]
fn check_error(format: &str, expected: &str) {
    let error = Format::parse(format).and_then(|format| format.render(&[Fruit])).unwrap_err();
    assert_eq!(error.message, expected, "{format}");
}

#[test]
fn errors_are_in_gos_words() {
    check_error(
        "{{.Foo}}",
        "template parsing error: template: :1:2: executing \"\" at <.Foo>: \
         can't evaluate field Foo in type *formatter.Fruit",
    );
    check_error(
        "{{upper .Foo}}",
        "template parsing error: template: :1:8: executing \"\" at <.Foo>: \
         can't evaluate field Foo in type *formatter.Fruit",
    );
    check_error("{{.Name", "template parsing error: template: :1: unclosed action");
    check_error(
        "{{foo .Name}}",
        "template parsing error: template: :1: function \"foo\" not defined",
    );
}

#[test]
fn members_keep_their_order() {
    let document = json!({"Z": {"b": 1, "a": [{"y": null, "x": "<"}]}, "A": 1});
    let render = |source: &str| {
        Template::parse(source).unwrap().render(&Scope::from_document(&document)).unwrap()
    };
    assert_eq!(render("{{json .}}"), document.to_string());
    assert_eq!(render("{{json .Z}}"), "{\"b\":1,\"a\":[{\"y\":null,\"x\":\"<\"}]}");
    assert_eq!(render("{{range .Z.a}}{{json .}}{{end}}"), "{\"y\":null,\"x\":\"<\"}");
}
