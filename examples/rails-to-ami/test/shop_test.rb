# frozen_string_literal: true

require "minitest/autorun"
require "shop"

class ShopTest < Minitest::Test
  def get(path)
    Shop.new(assets: { "shop.css" => "shop-1.css" }).call("REQUEST_METHOD" => "GET", "PATH_INFO" => path)
  end

  def test_it_is_up
    assert_equal [200, { "content-type" => "text/plain" }, ["ok"]], get("/up")
  end

  def test_the_page_has_prices_and_its_asset
    status, _, body = get("/")
    assert_equal 200, status
    assert_includes body.join, "tea 4.2"
    assert_includes body.join, "/assets/shop-1.css"
  end

  def test_a_price_is_json
    _, headers, body = get("/prices/tea")
    assert_equal "application/json", headers["content-type"]
    assert_equal({ "name" => "tea", "cents" => 420 }, JSON.parse(body.join))
  end

  def test_what_is_not_sold_is_not_found
    assert_equal 404, get("/prices/gold").first
    assert_equal 404, get("/nowhere").first
  end
end
