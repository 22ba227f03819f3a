<?php
// Verify what Slipway sends: SECRET=… php verify.php pam TIMESTAMP SIGNATURE < body
declare(strict_types=1);

const WINDOW = 300; // seconds

// Verify the headers `timestamp` and `signature` over the body as it arrived, unparsed:
// file_get_contents('php://input').
function verify_notice(string $secret, string $timestamp, string $signature, string $body, int $now): bool
{
    if (!preg_match('/^[0-9]{1,11}$/D', $timestamp) || abs($now - (int) $timestamp) > WINDOW) {
        return false;
    }
    return hash_equals(hash_hmac('sha256', $timestamp . $body, $secret), $signature);
}

// Verify the header `x-amb-signature` over the body as it arrived, unparsed.
function verify_wallet_call(string $secret, string $signature, string $body): bool
{
    $expected = base64_encode(hash_pbkdf2('sha512', $body, $secret, 1000, 64, true));
    return hash_equals($expected, $signature);
}

if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    $body = stream_get_contents(STDIN);
    $secret = (string) getenv('SECRET');
    $accepted = $argv[1] === 'pam'
        ? verify_notice($secret, $argv[2], $argv[3], $body, (int) ($argv[4] ?? time()))
        : verify_wallet_call($secret, $argv[2], $body);
    echo $accepted ? "accepted\n" : "refused\n";
    exit($accepted ? 0 : 1);
}
