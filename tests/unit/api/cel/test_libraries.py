"""The functions that expressions have besides the language's own."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.auth.actions import Action, Verdict
from podium.api.auth.users import User
from podium.api.cel import CompileError, EvaluationError, compile_expression
from podium.api.cel.authority import Authorizer

# ruff: noqa: E501
TRUE = [
    "url('https://user@example.com:80/a%20b?x=1&x=2').getHost() == 'example.com:80'",
    "url('https://[::1]:80/').getHostname() == '::1' && url('https://[::1]:80/').getPort() == '80'",
    "url('/path').getScheme() == '' && url('/a b').getEscapedPath() == '/a%20b'",
    "url('https://a/?x=1&x=2').getQuery()['x'] == ['1', '2']",
    "isURL('https://a') && !isURL('relative') && !isURL('https://a:b/')",
    "ip('10.0.0.1').family() == 4 && string(ip('::1')) == '::1' && ip('::1').isLoopback()",
    "isIP('10.0.0.1') && !isIP('10.0.0.256') && !isIP('::ffff:1.2.3.4') && !isIP('fe80::1%en0')",
    "ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')",
    "ip('10.0.0.1') == ip('10.0.0.1') && ip('8.8.8.8').isGlobalUnicast() && !ip('224.0.0.1').isGlobalUnicast()",
    "ip('169.254.1.1').isLinkLocalUnicast() && ip('224.0.0.1').isLinkLocalMulticast()",
    "cidr('10.0.0.0/8').containsIP('10.2.3.4') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
    "!cidr('10.0.0.0/8').containsCIDR(cidr('10.0.0.0/7')) && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
    "cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && cidr('::/64').prefixLength() == 64 && !isCIDR('10.0.0.0')",
    "quantity('1Gi').isGreaterThan(quantity('1000Mi')) && quantity('50k').add(20) == quantity('50020')",
    "quantity('1.5').isInteger() == false && quantity('2k').asInteger() == 2000 && quantity('-1').sign() == -1",
    "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))",
    "semver('v1.0', true).patch() == 0 && isSemver('v01.01', true) && !isSemver('v1.0')",
    "semver('1.0.0-alpha.1').compareTo(semver('1.0.0-alpha.beta')) == -1",
    "!format.dns1123Label().validate('my-name').hasValue()",
    "format.named('uuid').value().validate('x').value() == ['does not match the UUID format']",
    "!format.named('nope').hasValue() && !format.dns1123LabelPrefix().validate('my-').hasValue()",
    "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(7) == -1",
    "['a', 'b'].max() == 'b' && [1.5, 2.5].sum() == 4.0 && [duration('1s')].sum() == duration('1s')",
    "[3, 1, 2].sort() == [1, 2, 3] && ['bb', 'a'].sortBy(t, t.size()) == ['a', 'bb']",
    "[[1], [2, [3]]].flatten() == [1, 2, [3]] && lists.range(3) == [0, 1, 2] && [1, 2].reverse() == [2, 1]",
    "[1].first().value() == 1 && ![].last().hasValue()",
    "[1, 2].all(i, v, v == i + 1) && {'a': 1}.exists(k, v, k == 'a' && v == 1)",
    "[1, 2].transformList(i, v, i > 0, v * 2) == [4] && {'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
    "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'} && [1, 2].existsOne(i, v, v > 1)",
    "{'a': 1}.?a.orValue(2) == 1 && {'a': {}}.?a.?b.or(optional.of(3)).value() == 3",
    "optional.of(1).optMap(x, x + 1).value() == 2 && [?optional.none(), 1] == [1] && {?'a': optional.none()} == {}",
    "'a,b,c'.split(',', 2) == ['a', 'b,c'] && ['a', 'b'].join('-') == 'a-b' && 'tacocat'.charAt(3) == 'o'",
    "'hello'.replace('l', 'L', 1) == 'heLlo' && 'tacocat'.substring(1, 3) == 'ac' && ' \\t a '.trim() == 'a'",
    "'%s has %d of %.2f, %x'.format(['a', 2, 1.5, 255]) == 'a has 2 of 1.50, ff'",
    "'%s'.format([[1, 'a', {'k': true}]]) == '[1, a, {k: true}]'",
    "'ABc'.lowerAscii() == 'abc' && strings.quote('a\"b') == '\"a\\\\\"b\"'",
    "timestamp('2024-02-29T23:00:00Z').getDayOfMonth('+02:00') == 0",
    "timestamp('2024-02-29T00:00:00Z') + duration('24h') == timestamp('2024-03-01T00:00:00Z')",
    "string(timestamp('2024-02-29T00:00:00.5Z')) == '2024-02-29T00:00:00.5Z' && string(duration('1h')) == '3600s'",
    "dyn(1) == 1.0 && dyn(1u) == 1 && 2.5 > 2 && 1u < 2 && !(dyn(true) == 1) && type(1u) == uint",
    "-7 / 2 == -3 && -7 % 2 == -1 && 'é'.size() == 1 && b'é'.size() == 2",
    "[1, 'a', true].exists(x, x == true) && (1 / 0 > 1 || true) && !(dyn('a') > 1 && false)",
]


@pytest.mark.parametrize("expression", TRUE)
def test_the_libraries_answer_as_documented(expression: str) -> None:
    assert compile_expression(expression, ("self",), ("bool",)).evaluate({}) is True


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("9223372036854775807 + 1", "integer overflow"),
        ("int('x')", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("ip('x')", 'IP Address "x" parse error'),
        ("quantity('1x')", "quantities must match"),
        ("semver('1.2')", "No Major.Minor.Patch elements found"),
        ("'a'.matches('(')", "error parsing regexp"),
        ("optional.none().value()", r"optional.none\(\) dereference"),
        ("dyn('a') + 1", "no such overload"),
        ("'a'.charAt(7)", "index out of range: 7"),
        ("duration('1 hour')", 'time: invalid duration "1 hour"'),
        ("{'a': 1, 'a': 2}", "already exists"),
    ],
)
def test_a_function_says_why_it_has_no_value(expression: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        compile_expression(expression, ()).evaluate({})


@pytest.mark.parametrize(
    "expression", ["math.greatest(1, 2)", "[1].all(i, v, w > 0)", "quantity('1').nope()"]
)
def test_what_is_not_declared_does_not_compile(expression: str) -> None:
    with pytest.raises(CompileError, match=r"undeclared reference|found no matching overload"):
        compile_expression(expression, ())


def decide(user: User, action: Action) -> Verdict:
    allowed = user.name == "system:serviceaccount:default:deployer" and action.verb == "create"
    return Verdict(allowed or action.path == "/healthz", "by rule")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("authorizer.path('/healthz').check('get').allowed()", True),
        ("authorizer.group('').resource('pods').namespace('default').check('create').allowed()", False),
        (
            "authorizer.serviceAccount('default', 'deployer').group('apps').resource('deployments')"
            ".subresource('status').name('a').check('create').allowed()",
            True,
        ),
        ("authorizer.group('').resource('pods').check('get').reason()", "by rule"),
        ("authorizer.group('').resource('pods').check('get').errored()", False),
    ],
)
def test_an_expression_asks_what_somebody_may_do(expression: str, expected: Any) -> None:
    program = compile_expression(expression, ("authorizer",))
    assert program.evaluate({"authorizer": Authorizer(User("anna"), decide)}) == expected


def test_no_more_than_two_questions_are_answered() -> None:
    question = "authorizer.path('/healthz').check('get').allowed()"
    program = compile_expression(" && ".join([question] * 3), ("authorizer",))
    with pytest.raises(EvaluationError, match="actual cost limit exceeded"):
        program.evaluate({"authorizer": Authorizer(User("anna"), decide)})
