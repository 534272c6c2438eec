//! What is replaced, what stays, and that a second run changes nothing.

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::new);

fn check(text: &str, expected: &str) {
    let redacted = REDACTOR.redact(text).map_or_else(|| text.to_owned(), |(redacted, _)| redacted);
    assert_eq!(redacted, expected, "{text}");
}

/// Joined here, so that no scanner takes this file's samples for secrets.
fn joined(parts: &[&str]) -> String {
    parts.concat()
}

#[test]
fn tokens() {
    let body = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
    let upper = "A1B2C3D4E5F6G7H8";
    for (token, name) in [
        (joined(&["ghp", "_", body]), "GITHUB_TOKEN"),
        (joined(&["github", "_pat_", body, "_", body]), "GITHUB_TOKEN"),
        (joined(&["AK", "IA", upper]), "AWS_KEY"),
        (joined(&["AI", "za", &body[..35]]), "GCP_KEY"),
        (joined(&["gl", "pat-", &body[..20]]), "GITLAB_TOKEN"),
        (joined(&["xo", "xb-123456789012-", &body[..24]]), "SLACK_TOKEN"),
        (joined(&["sk", "_live_", &body[..24]]), "STRIPE_KEY"),
        (joined(&["np", "m_", body]), "NPM_TOKEN"),
        (joined(&["py", "pi-AgEIcHlwaS5vcmc", body, body]), "PYPI_TOKEN"),
        (joined(&["ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.", body]), "JSON_WEB_TOKEN"),
    ] {
        check(&format!("x = \"{token}\";"), &format!("x = \"REDACTED_{name}\";"));
        check(&format!("\"\\n{token}\\n\""), &format!("\"\\nREDACTED_{name}\\n\""));
        check(&format!("// {token}."), &format!("// REDACTED_{name}."));
        let inside = format!("some{token}");
        check(&inside, &inside);
    }
    check(
        &joined(&["hooks.slack.com/ser", "vices/T0AB12CD3/B0EF45GH6/", &body[..24]]),
        "hooks.slack.com/services/REDACTED_SLACK_TOKEN",
    );
    check(&format!("Authorization: Bearer {body}"), "Authorization: Bearer REDACTED_SERVICE_TOKEN");
}

#[test]
fn private_keys_keep_their_lines() {
    let line = "MIIEpAIBAAKCAQEA7bq0x4mS2kYq9Jd1hZr3u8vQw5tYp6nLk2jH0gFdSaPoIuYt";
    let (begin, end) =
        (joined(&["-----BEGIN RSA PRI", "VATE KEY-----"]), joined(&["-----END RSA PRI", "VATE KEY-----"]));
    check(
        &format!("k = `{begin}\n{line}\n{line}\nab==\n{end}`"),
        &format!("k = `{begin}\nREDACTED_PRIVATE_KEY\nREDACTED_PRIVATE_KEY\nREDACTED_PRIVATE_KEY\n{end}`"),
    );
    check(
        &format!("\"{begin}\\n\"\n  \"{line}\\n\"\n  \"{end}\\n\";"),
        &format!("\"{begin}\\n\"\n  \"REDACTED_PRIVATE_KEY\\n\"\n  \"{end}\\n\";"),
    );
    check(&format!("\"{begin}\\n{line}\\n{end}\""), &format!("\"{begin}\\nREDACTED_PRIVATE_KEY\\n{end}\""));
    let constants = format!("kBegin = \"{begin}\";\nkEndOfPrivateKeyMarkerName = \"{end}\";\n");
    check(&constants, &constants);
}

#[test]
fn assignments() {
    let value = "kX7pQ2mZ9tR4vB8nL3wJ6";
    for before in [
        "api_key = ",
        "apiKey: ",
        "\"secret_token\": ",
        "const SECRET = ",
        "std::string auth_token = ",
        "let token: &'static str = ",
        "set_password(",
        "config[\"api-key\"] = ",
        "if (password == ",
        "os.environ[\"TOKEN\"] = b",
        "ACCESS_KEY := ",
        "#define SECRET_KEY ",
    ] {
        check(&format!("{before}\"{value}\";"), &format!("{before}\"REDACTED_SECRET\";"));
    }
    check(
        &format!("\"{{\\\"access_key\\\": \\\"{value}\\\"}}\""),
        "\"{\\\"access_key\\\": \\\"REDACTED_SECRET\\\"}\"",
    );
    check("// secret=2Cxb9h28ZI0z2VpEUJcO", "// secret=REDACTED_SECRET");
    check("credentials(\"KmfarHV03lqcQirotDdqkx\")", "credentials(\"REDACTED_SECRET\")");
    check("// password: 'Jwfnf4_7Ta3'", "// password: 'REDACTED_SECRET'");
    check("password = 'S3cr3t!pw9x'", "password = 'REDACTED_SECRET'");
    check("API_KEY=kX7pQ2mZ9tR4vB8nL3wJ6aa1", "API_KEY=REDACTED_SECRET");
    check("api_key = \"9f86d081884c7d659a2feaa0c55ad015\"", "api_key = \"REDACTED_SECRET\"");
    for text in [
        "token = \"da39a3ee5e6b4b0d3255bfef95601890afd80709\"",
        "secret_id = \"123e4567-e89b-12d3-a456-426614174000\"",
        "token_type = \"kX7pQ2mZ9tR4vB8nL3wJ6\"",
        "password = \"correct horse battery staple\"",
        "password = \"please_enter_your_password\"",
        "password = \"Password-Version_2\"",
        "token=2Cxb9h28ZI0z2VpEUJcO(x)",
        "token = \"someLongTokenValue12Name\"",
        "passwordHashing = \"Sha256-Aes128\"",
        "the token is \"kX7pQ2mZ9tR4vB8nL3wJ6\"",
        "secret \\\"kX7pQ2mZ9tR4vB8nL3wJ6\"",
        "token = \"someTokenValue123\"",
        "api_key = os.environ[\"SERVICE_API_KEY_V2\"]",
        "token = lexer.next(\"identifier\", 12)",
        "secret = \"my-super-secret-value-1\"",
        "token_url = \"https://login.host/a1b2c3d4e5\"",
        "password = \"${DB_PASSWORD_1a2B3c4D}\"",
        "(\"POINTER_P2P_TOKENS\", \"hipPointerAttributeP2pTokens\")",
        "std::string token; foo(\"kX7pQ2mZ9tR4vB8nL3wJ6\")",
    ] {
        check(text, text);
    }
}

#[test]
fn urls() {
    check("postgres://app:s3cr3tpw@db.host/x", "postgres://app:REDACTED_PASSWORD@db.host/x");
    check("\"redis://:p4ssw0rd9@h:6379\"", "\"redis://:REDACTED_PASSWORD@h:6379\"");
    for text in [
        "http://user:password@host/",
        "http://user:pass@userpass.com/",
        "ssh://ann@host.com",
        "http://host:8080/a@b",
        "http://%s:%s@host",
        "https://${USER}:${PASS}@host",
        "ftp://guest:guest@host",
        "// see http://a.b/c:d@e",
        "std::cout << \"://\"",
    ] {
        check(text, text);
    }
}

#[test]
fn emails() {
    for (text, expected) in [
        ("// by Ann Lee <ann.lee@uni-x.ac.uk>.", "// by Ann Lee <redacted@example.com>."),
        ("\"\\nbob@mail.org\"", "\"\\nredacted@example.com\""),
        ("\"\\x41bob@mail.org\"", "\"\\x41redacted@example.com\""),
        ("mailto:x.y+z@corp.com?subject", "mailto:redacted@example.com?subject"),
    ] {
        check(text, expected);
    }
    for text in [
        "a@example.com",
        "noreply@host.org",
        "git@github.com:a/b.git",
        "@param x",
        "/** {@link a.b} */",
        "x = w@v.T",
        "y = a.b@c.transpose()",
        "memcpy@GLIBC_2.2.5",
        "pkg@1.2.3",
        "@app.route(\"/\")",
        "foo@bar",
        "icon@2x.png",
        "s@a@b.com@",
        "@decorator.com",
    ] {
        check(text, text);
    }
}

#[test]
fn addresses() {
    for (text, expected) in [
        ("connect(\"93.184.216.34\", 80)", "connect(\"192.0.2.1\", 80)"),
        ("http://52.14.3.9:8080/", "http://192.0.2.1:8080/"),
        ("// host 54.23.7.1 is down", "// host 192.0.2.1 is down"),
        ("void ping(\"52.1.2.33\");", "void ping(\"192.0.2.1\");"),
    ] {
        check(text, expected);
    }
    for text in [
        "\"127.0.0.1\"",
        "\"10.1.2.3\"",
        "\"192.168.1.17\"",
        "\"172.20.1.2\"",
        "203.0.113.77",
        "\"8.8.8.8\"",
        "\"255.255.255.0\"",
        "version 93.184.216.34",
        "v93.184.216.34",
        "Chrome/91.0.124.200",
        "1.3.6.1.4.1.311",
        "\"2.5.4.3\"",
        "\"2.5.29.35\"",
        "'7.1.4.34'",
        "\"101.102.103.104\"",
        "x :1.3.101.110",
        "1.22.3.4",
        "x = 1.5;",
        "256.100.100.100",
        "\"224.12.33.44\"",
        "oid 93.184.216.34",
        "a.1.22.33",
    ] {
        check(text, text);
    }
}

#[test]
fn phones() {
    check("// phone: +49 (30) 901820-12", "// phone: +1-555-0100");
    check("\"+1-415-555-2671\"", "\"+1-555-0100\"");
    check("Tel: (415) 867-2671", "Tel: +1-555-0100");
    check("call 415-867-2671", "call +1-555-0100");
    for text in [
        "x +1-415-555-2671",
        "a +1 2 3",
        "415-867-2671",
        "phone 555-867-2671",
        "phone: +01-123-456-7890",
        "\"+123456789012\"",
        "\"+262142-12-31\"",
        "1+1-1",
        "2024-01-0204",
        "(415) 555-2671",
    ] {
        check(text, text);
    }
}

#[test]
fn no_text_takes_quadratic_time() {
    let started = std::time::Instant::now();
    for piece in [
        "://",
        "@",
        "a@b.",
        "password = \"",
        "password='a",
        "-----BEGIN PRIVATE KEY-----\n",
        "1.",
        "1.1.1.1 ",
        "\\",
        "\"",
        "eyJ-",
        "eyJa.",
        "+1 ",
        "1-",
        "AKIA",
        "hooks.slack.com/services/",
        "Bearer ",
        "x://a:b",
        "token,",
        "xoxb-",
        "\\n@",
        "x://a:b@",
        "(415) 867-5309 ",
        "github_pat_",
        "AccountKey=",
        "token=a-",
    ] {
        let text = piece.repeat((256 << 10) / piece.len());
        let _ = REDACTOR.redact(&text);
    }
    // One quadratic search alone would take longer.
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

/// Text like code, with anchors of all searches but no secret.
fn code() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        "[a-z_]{1,8}",
        "[ \n\t(){};=+*/<>.,-]{1,4}",
        "\"[a-z ]{0,12}\"",
        "[ (][0-9]{1,3}(\\.[0-9]{1,2})?[ ;)]",
        Just("token = x".to_owned()),
        Just("// see http://a.b/c\n".to_owned()),
        Just(" @param ".to_owned()),
        Just("'\\n'".to_owned()),
        Just("größe".to_owned()),
    ];
    proptest::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

/// A secret of any kind in a string literal, and the part that must be gone.
fn secret() -> impl Strategy<Value = (String, String)> {
    let kinds = (0..14_usize, "[a-zA-Z]{8}[0-9][a-z][A-Z][0-9][a-zA-Z0-9]{28}", "[A-Z2-7]{14}[0-9][A-Z]");
    kinds
        .prop_filter("letters enough", |(_, body, upper)| {
            distinct(upper.as_bytes()) >= 8 && distinct(body.as_bytes()) >= 12
        })
        .prop_map(|(kind, body, upper)| {
            let (start, secret) = match kind {
                0 => ("", format!("ghp_{}", &body[..36])),
                1 => ("", format!("AKIA{upper}")),
                2 => ("", format!("AIza{}", &body[..35])),
                3 => ("", format!("glpat-{}", &body[..20])),
                4 => ("", format!("xoxp-1234-{body}")),
                5 => ("", format!("rk_live_{}", &body[..30])),
                6 => ("", format!("npm_{}", &body[..36])),
                7 => ("", format!("pypi-AgE{body}{body}")),
                8 => ("", format!("eyJ{body}.eyJ{body}.{body}")),
                9 => ("https://u5:", format!("{body}@x.org")),
                10 => ("mail ", format!("{}@{}.com", &body[..8], body[8..20].to_lowercase())),
                11 => (
                    "",
                    format!(
                        "{}.{}.{}.{}",
                        11 + kind,
                        100 + body.len(),
                        body.as_bytes()[0],
                        upper.as_bytes()[0]
                    ),
                ),
                12 => ("", format!("+1-{}-555-2671", 200 + usize::from(upper.as_bytes()[0]))),
                _ => (
                    "",
                    joined(&[
                        "-----BEGIN PRI",
                        "VATE KEY-----\\n",
                        &body,
                        "\\n-----END PRI",
                        "VATE KEY-----",
                    ]),
                ),
            };
            let gone = match kind {
                9 => body.clone(),
                13 => body.clone(),
                _ => secret.clone(),
            };
            (format!(" \"{start}{secret}\" "), gone)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_without_secrets_stays_as_it_is(code in code()) {
        prop_assert_eq!(REDACTOR.redact(&code).map(|(text, _)| text), None);
    }

    #[test]
    fn planted_secrets_are_gone_and_nothing_else_is(before in code(), (secret, gone) in secret(), after in code()) {
        let text = format!("{before};\n{secret}\n{after}");
        let (redacted, counts) = REDACTOR.redact(&text).unwrap();
        prop_assert!(!redacted.contains(&gone), "{}", redacted);
        prop_assert_eq!(counts.values().sum::<u64>(), 1);
        let start = before.len() + 2;
        prop_assert_eq!(&redacted[..start], &text[..start]);
        let rest = format!("\n{after}");
        prop_assert!(redacted.ends_with(&rest), "{}", redacted);
        prop_assert_eq!(redacted.matches('"').count(), text.matches('"').count());
        prop_assert_eq!(redacted.matches('\n').count(), text.matches('\n').count());
        prop_assert_eq!(REDACTOR.redact(&redacted).map(|(text, _)| text), None);
    }

    #[test]
    fn any_text_is_settled_by_one_run(text in "(?s)([a-z0-9@.:/\\\\\"'=+\n -]|token|://|secret|eyJ|\\PC){0,60}") {
        if let Some((once, _)) = REDACTOR.redact(&text) {
            prop_assert_eq!(REDACTOR.redact(&once).map(|(text, _)| text), None);
        }
    }
}
